package inflate_test

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// blocky is two streams of some blocks of each kind, one behind the other,
// and what they decode to.
func blocky(t *testing.T) (raw []byte, streams [2]int, want []byte) {
	var b bytes.Buffer
	for i := range streams {
		streams[i] = b.Len()
		for _, level := range []int{flate.DefaultCompression, flate.NoCompression, flate.HuffmanOnly, flate.BestSpeed} {
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			p := bytes.Repeat([]byte("abracadabra "), 9000+i)
			want = append(want, p...)
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil { // an empty stored block, and no last one
				t.Fatal(err)
			}
		}
		b.Write([]byte{1, 0, 0, 0xff, 0xff}) // the last block
	}
	return b.Bytes(), streams, want
}

// TestBlocks resumes at every block of two streams.
func TestBlocks(t *testing.T) {
	raw, streams, want := blocky(t)
	type block struct {
		bit, out int64
		window   []byte
	}
	var blocks []block
	d := inflate.NewDecoder(bytes.NewReader(raw))
	d.Blocks(func(bit, out int64) { blocks = append(blocks, block{bit, out, bytes.Clone(d.Window())}) })
	got, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	first := len(got)
	d.Restart()
	more, err := io.ReadAll(d)
	if err != nil || !bytes.Equal(append(got, more...), want) {
		t.Fatalf("decoded other bytes: %v", err)
	}
	if len(blocks) < 20 || blocks[0].bit != 0 || blocks[0].out != 0 {
		t.Fatalf("%d blocks, the first at %d", len(blocks), blocks[0].bit)
	}
	second := 0
	for i, b := range blocks {
		if !bytes.Equal(b.window, want[max(0, b.out-inflate.History):b.out]) {
			t.Errorf("block %d: a window of %d other bytes", i, len(b.window))
		}
		end := first
		if b.bit >= int64(8*streams[1]) {
			end, second = len(want), second+1
		}
		d.ResumeBlock(bytes.NewReader(raw[b.bit/8:]), int(b.bit%8), b.window)
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, want[b.out:end]) {
			t.Errorf("block %d: decoded %d bytes from %d on, %v", i, len(got), b.out, err)
		}
	}
	if second != len(blocks)-second {
		t.Errorf("%d blocks of %d are the second stream's", second, len(blocks))
	}
}
