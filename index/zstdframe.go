package index

import (
	"fmt"
	"math"
)

// A frameHeader is what a zstd frame begins with (RFC 8878, 3.1.1.1).
type frameHeader struct {
	n        int   // its length, with the magic number
	window   int64 // bytes of its content that decoding has to remember
	checksum bool  // one follows the last block
}

// maxFrameHeader is the length of the longest: the magic number, the
// descriptor, the window, a dictionary's number, the content's size.
const maxFrameHeader = 4 + 1 + 1 + 4 + 8

// parseFrameHeader reads the header that b begins with; ok is false if b is too
// short to hold it.
func parseFrameHeader(b []byte) (h frameHeader, ok bool) {
	if len(b) < 5 {
		return h, false
	}
	d := b[4]
	single := d&0x20 != 0
	dictionary, size := [4]int{0, 1, 2, 4}[d&3], [4]int{0, 2, 4, 8}[d>>6]
	if single && size == 0 {
		size = 1
	}
	h = frameHeader{n: 5 + dictionary + size, checksum: d&0x04 != 0}
	if !single {
		h.n++
	}
	if len(b) < h.n {
		return h, false
	}
	if !single { // 3.1.1.1.2
		base := int64(1) << (10 + b[5]>>3)
		h.window = base + base/8*int64(b[5]&7)
		return h, true
	}
	var v uint64 // 3.1.1.1.4; there is no window but the whole content
	for i, c := range b[h.n-size : h.n] {
		v |= uint64(c) << (8 * i)
	}
	if size == 2 {
		v += 256
	}
	h.window = int64(min(v, math.MaxInt64))
	return h, true
}

// A WindowError says that a zstd frame asks for more memory than Limits.Window
// allows. It is an ErrLimit.
type WindowError struct {
	Window, Limit int64 // bytes
}

func (e *WindowError) Error() string {
	return fmt.Sprintf("%v: a zstd frame needs a window of %s MiB, and %s MiB is allowed", ErrLimit, mebibytes(e.Window), mebibytes(e.Limit))
}

func (e *WindowError) Unwrap() error { return ErrLimit }

func mebibytes(n int64) string { return fmt.Sprintf("%.6g", float64(n)/(1<<20)) }
