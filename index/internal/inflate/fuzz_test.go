package inflate_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// most is how much of a fuzzed stream is decoded.
const most = 4 << 20

func seeds(f *testing.F) [][]byte {
	var all [][]byte
	for _, size := range []int{0, 1, 100, 3000, 100_000} {
		b := content(uint64(size), size)
		for i, w := range writers() {
			if size < 100_000 || i%7 == 0 {
				all = append(all, w.bytes(f, b))
			}
		}
	}
	return all
}

// FuzzInflate compares with compress/flate: the same streams are valid, decode
// to the same bytes, and end in the same place. And what has been decoded can
// be decoded again from every checkpoint.
func FuzzInflate(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
		if len(b) > 10 {
			f.Add(b[:len(b)*2/3])
			b = bytes.Clone(b)
			b[len(b)/2] ^= 4
			f.Add(b)
		}
	}
	for _, b := range oddStreams() {
		f.Add(b.bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(r), most))
		for _, in := range []io.Reader{bytes.NewReader(raw), iotest.OneByteReader(bytes.NewReader(raw))} {
			d := inflate.NewDecoder(in)
			got, err := io.ReadAll(io.LimitReader(d, most))
			compare(t, got, want, err, wantErr)
			if err == nil && len(want) < most {
				if rest, _ := io.ReadAll(d.Input()); len(rest) != r.Len() {
					t.Fatalf("%d bytes are left of the input, want %d", len(rest), r.Len())
				}
			}
		}
		if wantErr == nil && len(want) < most {
			check(t, raw, want, inflate.MinEvery)
		}
	})
}

// compare compares bytes and errors with those of compress/flate. At the end of
// truncated input that doesn't decode a last symbol if it is shorter than the
// end of block.
func compare(t *testing.T, got, want []byte, err, wantErr error) {
	t.Helper()
	var corrupt *inflate.CorruptError
	var wantCorrupt flate.CorruptInputError
	switch {
	case wantErr == nil:
		if err != nil {
			t.Fatalf("an error after %d of %d bytes: %v", len(got), len(want), err)
		}
	case errors.As(wantErr, &wantCorrupt):
		if !errors.As(err, &corrupt) {
			t.Fatalf("got %v, want %v", err, wantErr)
		}
	case err != io.ErrUnexpectedEOF && !errors.As(err, &corrupt):
		t.Fatalf("got %v, want %v", err, wantErr)
	case wantErr == io.ErrUnexpectedEOF && len(got)-len(want) < 1000:
		got = got[:min(len(got), len(want))]
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes, want %d, or others", len(got), len(want))
	}
}

// FuzzResume resumes from anything: no panic, no endless work.
func FuzzResume(f *testing.F) {
	for i, w := range writers() {
		if i%3 > 0 {
			continue
		}
		raw := w.bytes(f, content(uint64(i), 150_000))
		_, marks := pass(f, raw, inflate.MinEvery)
		for _, m := range marks {
			f.Add(m.state, raw[m.Bit/8:min(len(raw), int(m.Bit/8)+4000)])
		}
	}
	d := inflate.NewDecoder(nil)
	f.Fuzz(func(t *testing.T, state, raw []byte) {
		if err := d.Resume(bytes.NewReader(raw), state); err != nil {
			return
		}
		marks := 0
		d.Every(inflate.MinEvery, func(c *inflate.Checkpoint) {
			marks++
			if err := inflate.NewDecoder(nil).Resume(nil, c.Append(nil)); err != nil {
				t.Fatalf("checkpoint %d of its own: %v", marks, err)
			}
		})
		got, err := io.ReadAll(io.LimitReader(d, most))
		if err == nil {
			return
		}
		var corrupt *inflate.CorruptError
		if err != io.ErrUnexpectedEOF && !errors.As(err, &corrupt) {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
	})
}

func TestOddStreams(t *testing.T) {
	for _, o := range oddStreams() {
		t.Run(o.name, func(t *testing.T) {
			raw := o.bytes()
			want, wantErr := io.ReadAll(flate.NewReader(bytes.NewReader(raw)))
			got, err := io.ReadAll(inflate.NewDecoder(bytes.NewReader(raw)))
			compare(t, got, want, err, wantErr)
			t.Logf("%d bytes, %v", len(got), err)
		})
	}
}
