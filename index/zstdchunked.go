package index

import (
	"errors"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"
)

// The footers of zstd:chunked, the content of a last, skippable frame: numbers
// of 8 bytes, and a magic one. Both begin with where the table lies, and its
// length, decoded length and type.
const (
	zstdMagic     = "GnUlInUx" // stargz-snapshotter, and containers/storage of old
	zstdFooterLen = 4*8 + len(zstdMagic)

	podmanMagic     = "GNUlInUx"
	podmanFooterLen = 7*8 + len(podmanMagic) // where the tar-split data lies, too
)

// zstdFooter reads the footer that end ends in.
func zstdFooter(end []byte) (place, bool) {
	n := zstdFooterLen
	if len(end) >= podmanFooterLen && string(end[len(end)-len(podmanMagic):]) == podmanMagic {
		n = podmanFooterLen
	} else if len(end) < n || string(end[len(end)-len(zstdMagic):]) != zstdMagic {
		return place{}, false
	}
	var v [4]int64
	for i := range v {
		v[i] = int64(min(le.Uint64(end[len(end)-n+8*i:]), math.MaxInt64))
	}
	return place{off: v[0], n: v[1], size: v[2]}, v[3] == typeCRFS
}

var errPlace = errors.New("a table of contents beyond the blob")

// zstdChunked opens the layer whose table of contents lies at: in a skippable
// frame behind the members.
func (o *opener) zstdChunked(at place) (*TOC, error) {
	size := o.tail.blob.Size()
	if at.off < skippableHead || at.off > size || at.n > size-at.off {
		return nil, &FormatError{Format: ZstdChunked, Off: at.off, Err: errPlace}
	}
	if err := o.h.Limits.table(max(at.n, at.size)); err != nil {
		return nil, err
	}
	packed, err := o.slice(at.off, at.n)
	if err != nil {
		return nil, err
	}
	if err := promised(o.promise.packed, packed); err != nil {
		return nil, err
	}
	json, err := unpack(packed, at, o.h.Limits.Window)
	if err != nil {
		return nil, err
	}
	if err := promised(o.promise.json, json); err != nil {
		return nil, err
	}
	c := newContents(ZstdChunked, &o.h, at.off-skippableHead)
	if err := c.read(json); err != nil {
		return nil, err
	}
	return o.toc(c), nil
}

// slice is blob[off:off+n], from the tail if it lies in that.
func (o *opener) slice(off, n int64) ([]byte, error) {
	if off >= o.tail.off {
		return o.tail.b[off-o.tail.off:][:n], nil
	}
	if err := o.tail.ctx.Err(); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	return b, readAt(o.tail.blob, b, off)
}

// unpack decodes the table, which must have the length that was told, in window
// bytes of memory beside.
func unpack(packed []byte, at place, window int64) ([]byte, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(max(window, zstd.MinWindowSize))), zstd.WithDecoderMaxMemory(uint64(max(at.size, window))))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	const usual = 32 // it is JSON: more than it decodes to, mostly
	b, err := dec.DecodeAll(packed, make([]byte, 0, min(at.size, usual*at.n)))
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		h, _ := parseFrameHeader(packed)
		return nil, &WindowError{Window: h.window, Limit: window}
	}
	if err == nil && int64(len(b)) != at.size {
		err = fmt.Errorf("a table of contents of %d bytes, not %d", len(b), at.size)
	}
	if err != nil {
		return nil, &FormatError{Format: ZstdChunked, Off: at.off, Err: err}
	}
	return b, nil
}
