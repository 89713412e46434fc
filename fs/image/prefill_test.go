package image

import (
	"errors"
	"sync/atomic"
	"testing"

	"ocifs.dev/ocifs/cache"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestPrefillYields reads nothing ahead where half of all fills that may be are
// under way.
func TestPrefillYields(t *testing.T) {
	toc := tableOf(t, lt.Tar(lt.File("f", string(make([]byte, 1<<20)))))
	store, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	for busy, want := range map[int]int64{0: 1, sideBySide/2 - 1: 1, sideBySide / 2: 0, sideBySide: 0} {
		var fills atomic.Int64
		space, err := store.Space("k", tiles{toc}, func(int, int, func(int, []byte) error) error {
			fills.Add(1)
			return errors.New("no luck")
		})
		if err != nil {
			t.Fatal(err)
		}
		l := &layer{toc: toc, space: space, slots: make(chan struct{}, sideBySide)}
		for range busy {
			l.slots <- struct{}{}
		}
		l.prefill(window{0, toc.Size()})
		l.prefill(window{})
		if err := space.Close(); err != nil {
			t.Error(err)
		}
		if n := fills.Load(); n != want {
			t.Errorf("%d fills under way: %d more, want %d", busy, n, want)
		}
	}
}
