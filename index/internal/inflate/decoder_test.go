package inflate_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	kflate "github.com/klauspost/compress/flate"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// A writer is one way to make a DEFLATE stream.
type writer struct {
	name string
	make func(w io.Writer, b []byte) error
}

type flusher interface {
	io.WriteCloser
	Flush() error
}

// writers are all levels of the two encoders at hand, each in one go and with
// a flush here and there, as parallel compressors have it.
func writers() []writer {
	var ws []writer
	add := func(name string, open func(io.Writer, int) (flusher, error), level int) {
		ws = append(ws,
			writer{fmt.Sprintf("%s%d", name, level), func(w io.Writer, b []byte) error { return write(open, level, len(b)+1, w, b) }},
			writer{fmt.Sprintf("%s%d-flush", name, level), func(w io.Writer, b []byte) error { return write(open, level, len(b)/7+1, w, b) }})
	}
	for level := -2; level <= 9; level++ {
		add("std", func(w io.Writer, l int) (flusher, error) { return flate.NewWriter(w, l) }, level)
		add("klauspost", func(w io.Writer, l int) (flusher, error) { return kflate.NewWriter(w, l) }, level)
	}
	return append(ws, writer{"giant", func(w io.Writer, b []byte) error {
		_, err := w.Write(giant(b))
		return err
	}})
}

func write(open func(io.Writer, int) (flusher, error), level, every int, w io.Writer, b []byte) error {
	fw, err := open(w, level)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		n := min(len(b), every)
		if _, err := fw.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		if len(b) > 0 {
			if err := fw.Flush(); err != nil {
				return err
			}
		}
	}
	return fw.Close()
}

func (w writer) bytes(t testing.TB, b []byte) []byte {
	var buf bytes.Buffer
	if err := w.make(&buf, b); err != nil {
		t.Fatalf("%s: %v", w.name, err)
	}
	return buf.Bytes()
}

// content returns n bytes that are a bit of everything: words, noise, zeros,
// short periods, and repeats from near and far.
func content(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("the quick brown fox jumps over a lazy dog usr lib include share doc python perl")
	b := make([]byte, 0, n+4096)
	for len(b) < n {
		size := 1 + r.IntN(4000)
		switch r.IntN(6) {
		case 0:
			for range size {
				b = append(b, byte(r.Uint32()))
			}
		case 1:
			b = append(b, make([]byte, size)...)
		case 2:
			period := 1 + r.IntN(40)
			for i := range size {
				b = append(b, byte(i%period*37))
			}
		case 3:
			if len(b) > 0 {
				from := len(b) - 1 - r.IntN(min(len(b), 40000))
				b = append(b, b[from:min(from+size, len(b))]...)
			}
		default:
			for range size / 6 {
				b = append(append(b, words[r.IntN(len(words))]...), ' ')
			}
		}
	}
	return b[:n]
}

func TestDecodeEveryWriter(t *testing.T) {
	for _, size := range []int{0, 1, 2, 300, 32 << 10, 400_000} {
		want := content(uint64(size), size)
		for _, w := range writers() {
			raw := w.bytes(t, want)
			got, err := io.ReadAll(inflate.NewDecoder(bytes.NewReader(raw)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes: got %d bytes, %v", w.name, size, len(got), err)
			}
		}
	}
}

// However the input is cut, and whatever is asked for at a time.
func TestDecodeAnyReader(t *testing.T) {
	want := content(2, 150_000)
	readers := map[string]func(io.Reader) io.Reader{
		"one byte":      iotest.OneByteReader,
		"half":          iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
		"pieces":        func(r io.Reader) io.Reader { return &pieces{r, rand.New(rand.NewPCG(3, 3))} },
	}
	for _, w := range writers() {
		raw := w.bytes(t, want)
		for name, wrap := range readers {
			got, err := io.ReadAll(wrap(inflate.NewDecoder(wrap(bytes.NewReader(raw)))))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: got %d bytes, %v", w.name, name, len(got), err)
			}
		}
	}
}

// pieces reads few bytes at a time, and now and then none.
type pieces struct {
	r    io.Reader
	rand *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	return p.r.Read(b[:min(len(b), p.rand.IntN(700))])
}

func TestReadIsAReader(t *testing.T) {
	want := content(4, 70_000)
	raw := writers()[0].bytes(t, want)
	if err := iotest.TestReader(inflate.NewDecoder(bytes.NewReader(raw)), want); err != nil {
		t.Error(err)
	}
}

// Several streams, with something around them.
func TestRestart(t *testing.T) {
	var input, want bytes.Buffer
	input.WriteString("head")
	ws := writers()
	for i, w := range ws {
		b := content(uint64(i), i*3000)
		want.Write(b)
		input.Write(w.bytes(t, b))
		fmt.Fprintf(&input, "trailer %04d", i)
	}
	d := inflate.NewDecoder(iotest.HalfReader(&input))
	if b, err := d.Input().ReadByte(); err != nil || b != 'h' {
		t.Fatalf("got %q, %v", b, err)
	}
	head := make([]byte, 3)
	if _, err := io.ReadFull(d.Input(), head); err != nil || string(head) != "ead" {
		t.Fatalf("got %q, %v", head, err)
	}
	var got bytes.Buffer
	for i := range ws {
		if _, err := io.Copy(&got, d); err != nil {
			t.Fatal(err)
		}
		trailer := make([]byte, len("trailer 0000"))
		_, err := io.ReadFull(d.Input(), trailer)
		if s := fmt.Sprintf("trailer %04d", i); err != nil || string(trailer) != s {
			t.Fatalf("got %q, %v, want %q", trailer, err, s)
		}
		d.Restart()
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("other bytes")
	}
	if _, err := d.Input().ReadByte(); err != io.EOF {
		t.Errorf("behind the last stream: %v", err)
	}
	if _, err := d.Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("a stream that isn't there: %v", err)
	}
}

// No match reaches into the stream before.
func TestRestartHasNoHistory(t *testing.T) {
	first := giant([]byte("abcabcabcabc"))
	var w bits
	w.add(1, 1)
	w.add(1, 2)
	w.match(3, 3)
	w.end()
	d := inflate.NewDecoder(bytes.NewReader(append(first, w.bytes()...)))
	if _, err := io.Copy(io.Discard, d); err != nil {
		t.Fatal(err)
	}
	d.Restart()
	var corrupt *inflate.CorruptError
	if _, err := d.Next(); !errors.As(err, &corrupt) {
		t.Errorf("got %v", err)
	}
}

func TestPos(t *testing.T) {
	want := content(5, 100_000)
	raw := writers()[10].bytes(t, want)
	d := inflate.NewDecoder(bytes.NewReader(append(raw, "more"...)))
	if _, err := io.Copy(io.Discard, d); err != nil {
		t.Fatal(err)
	}
	if in, out := d.Pos(); in != int64(8*len(raw)) || out != int64(len(want)) {
		t.Errorf("got %d bits, %d bytes, want %d, %d", in, out, 8*len(raw), len(want))
	}
}

func TestReaderError(t *testing.T) {
	want := content(6, 100_000)
	raw := writers()[10].bytes(t, want)
	broken := errors.New("broken")
	d := inflate.NewDecoder(io.MultiReader(bytes.NewReader(raw[:len(raw)/2]), iotest.ErrReader(broken)))
	got, err := io.ReadAll(d)
	if err != broken || len(got) < 1000 || !bytes.HasPrefix(want, got) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if _, again := d.Next(); again != broken {
		t.Errorf("then %v", again)
	}
	d.Reset(iotest.ErrReader(nil))
	if _, err := d.Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that reads nothing: %v", err)
	}
}
