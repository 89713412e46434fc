package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	stores := []*Store{open(t, dir, 0), open(t, dir, 0)}
	var inside atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				unlock, err := stores[i%2].Lock(t.Context(), "k")
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d inside", n)
				}
				inside.Add(-1)
				unlock()
				unlock()
			}
		})
	}
	wg.Wait()
	left(t, dir, "locks", 0)
}

func TestLockEndsWithContext(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	unlock, err := s.Lock(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Lock(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	other, err := s.Lock(ctx, "other")
	if err != nil {
		t.Fatal(err)
	}
	other()
}
