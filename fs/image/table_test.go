package image

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ocifs.dev/ocifs/index"
)

// TestLargeTable has tables that are small as they come, and then have to be held
// in memory: no more than a small one where they don't say how much, and what it
// takes to grow to that.
func TestLargeTable(t *testing.T) {
	zeros := make([]byte, 64<<20)
	var silent bytes.Buffer // a frame that doesn't tell its length
	w, err := zstd.NewWriter(&silent)
	if err == nil {
		_, err = io.Copy(w, io.LimitReader(bytes.NewReader(zeros), int64(len(zeros))))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	small := e.EncodeAll(zeros[:1<<20], nil)
	for name, b := range map[string][]byte{
		"without its length": silent.Bytes(),
		"with others behind": bytes.Repeat(small, 64), // of which the first tells nothing
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := table(b, index.Limits{}); !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		// In all: how much at a time depends on how far behind the collector is.
		if n := after.TotalAlloc - before.TotalAlloc; n > 20*smallTable {
			t.Errorf("%s: %d MiB are allocated", name, n>>20)
		}
	}
	told := e.EncodeAll(zeros, nil)
	if _, err := table(told, index.Limits{}); err == nil || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		t.Errorf("with its length: %v", err) // it is all zeros, and so no table
	}
}
