package image

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// TestSettleAtOnce waits for the verdict as soon as all has been seen, beside
// who has seen the last of it.
func TestSettleAtOnce(t *testing.T) {
	lie := errors.New("a lie")
	for range 20_000 {
		a := newAudit(2, func(context.Context) error { return lie })
		l := &layer{life: context.Background(), report: func(string) {}, audit: a}
		for i := range 2 {
			go a.mark(l, i)
		}
		for a.left.Load() != 0 {
			runtime.Gosched()
		}
		if err := a.wait(); !errors.Is(err, lie) {
			t.Fatalf("all was seen, and the verdict is %v", err)
		}
	}
}
