package inflate_test

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	kflate "github.com/klauspost/compress/flate"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// layer returns a tar of Go's sources and binaries, 64 MiB at most: text and
// machine code, in files of all sizes, as layers have them.
func layer(b *testing.B) []byte {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skip("no Go tree to make a layer of:", err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, part := range []struct {
		dir  string
		most int
	}{{"src", 32 << 20}, {"pkg/tool", 64 << 20}, {"bin", 64 << 20}} {
		full := errors.New("full")
		err := filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), part.dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if buf.Len()+int(info.Size()) > part.most {
				return full
			}
			h, err := tar.FileInfoHeader(info, "")
			if err != nil {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			h.Name, h.Size = path[1:], int64(len(content))
			if err := w.WriteHeader(h); err != nil {
				return err
			}
			_, err = w.Write(content)
			return err
		})
		if err != nil && err != full && !errors.Is(err, fs.ErrNotExist) {
			b.Fatal(err)
		}
	}
	if buf.Len() < 16<<20 {
		b.Skip("no Go tree to make a layer of")
	}
	return buf.Bytes()
}

// A maker makes the DEFLATE stream of a benchmark, or skips it.
type maker struct {
	name string
	make func(b *testing.B, layer []byte) []byte
}

func makers() []maker {
	std := func(w io.Writer, l int) (flusher, error) { return flate.NewWriter(w, l) }
	klauspost := func(w io.Writer, l int) (flusher, error) { return kflate.NewWriter(w, l) }
	encode := func(open func(io.Writer, int) (flusher, error), level, every int) func(*testing.B, []byte) []byte {
		return func(b *testing.B, layer []byte) []byte {
			var buf bytes.Buffer
			if err := write(open, level, every, &buf, layer); err != nil {
				b.Fatal(err)
			}
			return buf.Bytes()
		}
	}
	run := func(name string, args ...string) func(*testing.B, []byte) []byte {
		return func(b *testing.B, layer []byte) []byte {
			path, err := exec.LookPath(name)
			if err != nil {
				b.Skip(err)
			}
			c := exec.Command(path, args...)
			c.Stdin = bytes.NewReader(layer)
			gz, err := c.Output()
			if err != nil {
				b.Fatal(err)
			}
			r := bytes.NewReader(gz)
			if _, err := gzip.NewReader(r); err != nil { // it reads the header and no more
				b.Fatal(err)
			}
			return gz[len(gz)-r.Len():]
		}
	}
	return []maker{
		{"go6", encode(std, 6, 1<<30)},
		{"go9", encode(std, 9, 1<<30)},
		{"klauspost", encode(klauspost, -1, 1<<30)},
		{"flushed", encode(std, 6, 128<<10)},    // as parallel compressors do
		{"pgzip", encode(klauspost, -1, 1<<20)}, // as klauspost/pgzip, and so Podman, does
		{"gzip6", run("gzip", "-6c")},
		{"gzip9", run("gzip", "-9c")},
		{"pigz", run("pigz", "-6c")},
		{"igzip0", run("igzip", "-0c")},
		{"igzip3", run("igzip", "-3c")},
	}
}

// BenchmarkInflate is the speed of output, by who wrote the input and who reads
// it. With checkpoints it is what a pass over a layer does, their states
// encoded beside it; index-% is their share of the input.
func BenchmarkInflate(b *testing.B) {
	plain := layer(b)
	for _, m := range makers() {
		b.Run(m.name, func(b *testing.B) {
			raw := m.make(b, plain)
			stream := func(open func() io.Reader) func(*testing.B) {
				return func(b *testing.B) {
					b.SetBytes(int64(len(plain)))
					b.ReportAllocs()
					for b.Loop() {
						if n, err := io.Copy(io.Discard, open()); err != nil || n != int64(len(plain)) {
							b.Fatal(n, err)
						}
					}
				}
			}
			b.Run("ocifs", func(b *testing.B) { benchDecoder(b, raw, len(plain), 0) })
			b.Run("klauspost", stream(func() io.Reader { return kflate.NewReader(bytes.NewReader(raw)) }))
			b.Run("std", stream(func() io.Reader { return flate.NewReader(bytes.NewReader(raw)) }))
			b.Run("ocifs-256k", func(b *testing.B) { benchDecoder(b, raw, len(plain), 256<<10) })
			b.Run("ocifs-1m", func(b *testing.B) { benchDecoder(b, raw, len(plain), 1<<20) })
		})
	}
}

func benchDecoder(b *testing.B, raw []byte, size int, every int64) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	d := inflate.NewDecoder(nil)
	index := 0
	for b.Loop() {
		d.Reset(bytes.NewReader(raw))
		states := make(chan *inflate.Checkpoint, 1000)
		if every > 0 {
			d.Every(every, func(c *inflate.Checkpoint) { states <- c })
		}
		done := make(chan int)
		go func() {
			n := 0
			for c := range states {
				n += len(c.Append(nil))
			}
			done <- n
		}()
		n := 0
		for {
			p, err := d.Next()
			n += len(p)
			if err == io.EOF && n == size {
				break
			} else if err != nil {
				b.Fatal(n, err)
			}
		}
		close(states)
		index = <-done
	}
	if every > 0 {
		b.ReportMetric(100*float64(index)/float64(len(raw)), "index-%")
	}
}

// BenchmarkResume is a read at random: all of a span of 256 KiB, the first
// 4 KiB of one, and none of it, which is the state alone.
func BenchmarkResume(b *testing.B) {
	const every = 256 << 10
	plain := layer(b)
	raw := makers()[0].make(b, plain)
	out, marks := pass(b, raw, every)
	if !bytes.Equal(out, plain) {
		b.Fatal("other bytes")
	}
	marks = marks[:len(marks)-1] // the last span is short
	d := inflate.NewDecoder(nil)
	r := rand.New(rand.NewPCG(1, 1))
	for _, size := range []struct {
		name string
		n    int
	}{{"span", every}, {"4k", 4 << 10}, {"state", 0}} {
		b.Run(size.name, func(b *testing.B) {
			buf := make([]byte, size.n)
			b.SetBytes(int64(size.n))
			b.ReportAllocs()
			for b.Loop() {
				m := &marks[r.IntN(len(marks))]
				if err := d.Resume(bytes.NewReader(raw[m.Bit/8:]), m.state); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(d, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkState is the encoding of a checkpoint; bytes are those of its window,
// B/state what becomes of it.
func BenchmarkState(b *testing.B) {
	raw := makers()[0].make(b, layer(b))
	_, marks := pass(b, raw, 256<<10)
	b.SetBytes(inflate.History)
	b.ReportAllocs()
	var buf []byte
	sum, n := 0, 0
	for i := 0; b.Loop(); i++ {
		buf = marks[i%len(marks)].Append(buf[:0])
		sum, n = sum+len(buf), n+1
	}
	b.ReportMetric(float64(sum)/float64(n), "B/state")
}
