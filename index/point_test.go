package index_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestWindowsShare has layers whose decoder remembers much: points are left
// out, so that the windows file stays small, but none is far from the next.
func TestWindowsShare(t *testing.T) {
	for _, c := range []struct {
		name        string
		data        string
		most        int64 // bytes of the windows file, in thousandths of the blob
		least, till int   // checkpoints
	}{
		{"a small vocabulary", noise(64*index.ChunkSize, 1), 30, 10, 32},
		{"zeros", strings.Repeat("\x00", 64*index.ChunkSize), 30, 4, 32},
		// 32 KiB over and over: every state is those, and no block longer than its state.
		{"one window", strings.Repeat(chaos(1<<15), 64*8), 3000, 4, 5},
		{"nothing to remember", chaos(8 * index.ChunkSize), 30, 8, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := lt.Tar(lt.File("f", c.data))
			blob := lt.Gzip(data, 6)
			toc, k, err := build(blob, index.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if n := toc.WindowsSize(); 1000*n > c.most*int64(len(blob)) {
				t.Errorf("%d bytes of windows for a layer of %d", n, len(blob))
			}
			if n := toc.Checkpoints(); n < c.least || n > c.till {
				t.Errorf("%d checkpoints, want %d to %d", n, c.least, c.till)
			}
			for i := range toc.Len() {
				if i-toc.Restart(i) >= 16 {
					t.Errorf("chunk %d is decoded from chunk %d on", i, toc.Restart(i))
				}
				decode(t, toc, k, blob, data, i, i+1)
			}
		})
	}
}

// TestSpan has points farther apart, which take less: at 1 MiB no more than a
// quarter, and well below a hundredth of the layer.
func TestSpan(t *testing.T) {
	data := lt.Tar(lt.File("f", prose(40*index.ChunkSize)))
	blob := lt.Gzip(data, 6)
	for _, c := range []struct {
		span  int64
		every int   // chunks
		most  int64 // bytes of the windows file, in thousandths of the blob
	}{{0, 1, 30}, {1 << 20, 4, 8}, {1 << 40, 16, 2}} {
		toc, k, err := build(blob, index.Options{Span: c.span})
		if err != nil {
			t.Fatal(err)
		}
		if n := toc.WindowsSize(); 1000*n > c.most*int64(len(blob)) {
			t.Errorf("%d bytes of windows for a layer of %d", n, len(blob))
		}
		if n := toc.Checkpoints(); n != (toc.Len()+c.every-1)/c.every {
			t.Errorf("%d checkpoints for %d chunks, one for each %d", n, toc.Len(), c.every)
		}
		for _, i := range []int{0, 1, 3, 4, 15, 16, 17, toc.Len() / 2, toc.Len() - 1} {
			if far := i - toc.Restart(i); far < 0 || far >= c.every {
				t.Errorf("chunk %d is decoded from chunk %d on", i, toc.Restart(i))
			}
			decode(t, toc, k, blob, data, i, i+1)
		}
	}
}

// prose is n bytes of which a window refers to little of the one before it.
func prose(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		b = strconv.AppendUint(b, r.Uint64(), 16)
		b = append(b, " the quick brown fox "...)
	}
	return string(b[:n])
}

// chaos is n bytes that don't compress.
func chaos(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}
