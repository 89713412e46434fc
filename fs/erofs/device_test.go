package erofs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/erofs"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// TestDevice reads the device in pieces of all kinds, which must be pieces of
// what it is as a whole.
func TestDevice(t *testing.T) {
	s := &source{tree: merge(t, file("a", 5000), file("b", 4096), file("c", 1), file("d", 0), file("e", 70_000), dir("f"))}
	l, err := erofs.NewLayout(s.tree)
	if err != nil {
		t.Fatal(err)
	}
	d := erofs.NewDevice(l, s)
	if want := int64(2+1+1+18) * block; d.Size() != want {
		t.Fatalf("%d bytes, want %d", d.Size(), want)
	}
	whole := make([]byte, d.Size())
	if n, err := d.ReadAt(whole, 0); n != len(whole) || err != io.EOF {
		t.Fatalf("the whole: %d, %v", n, err)
	}
	for _, size := range []int{1, 4095, 4096, 4097, 20_000} {
		for off := 0; off < len(whole); off += size/2 + 1 {
			p := bytes.Repeat([]byte{0xee}, size)
			want := whole[off:min(off+size, len(whole))]
			n, err := d.ReadAt(p, int64(off))
			if n != len(want) || err != nil && (err != io.EOF || off+size < len(whole)) {
				t.Fatalf("%d bytes at %d: %d, %v", size, off, n, err)
			}
			if !bytes.Equal(p[:n], want) {
				t.Fatalf("%d bytes at %d differ", size, off)
			}
		}
	}
	for _, off := range []int64{-1, d.Size(), d.Size() + 1, 1 << 62} {
		if n, err := d.ReadAt(make([]byte, 1), off); n != 0 || err != io.EOF {
			t.Errorf("at %d: %d, %v", off, n, err)
		}
	}
}

// TestDeviceOrder has neighbours of a layer be neighbours on the device, whatever
// they are called.
func TestDeviceOrder(t *testing.T) {
	s := &source{tree: merge(t, file("z", 10), file("d/a", 10), file("b", 10))}
	l, err := erofs.NewLayout(s.tree)
	if err != nil {
		t.Fatal(err)
	}
	var order string
	s.fail = func(n tree.Node, off int64) error {
		order += s.tree.Path(n) + " "
		return nil
	}
	d := erofs.NewDevice(l, s)
	d.ReadAt(make([]byte, d.Size()), 0)
	if order != "z d/a b " {
		t.Errorf("files are read as %q", order)
	}
}

// TestDeviceFails has one file fail: reads that come by it fail, and say which
// file it is, and no others do.
func TestDeviceFails(t *testing.T) {
	s := &source{tree: merge(t, file("a", 4096), file("dir/b", 4096), file("c", 4096))}
	broken := errors.New("broken")
	s.fail = func(n tree.Node, off int64) error {
		if s.tree.Path(n) == "dir/b" {
			return broken
		}
		return nil
	}
	l, err := erofs.NewLayout(s.tree)
	if err != nil {
		t.Fatal(err)
	}
	d := erofs.NewDevice(l, s)
	for b := range int64(3) {
		n, err := d.ReadAt(make([]byte, block), b*block)
		if bad := b == 1; bad != errors.Is(err, broken) || bad && (n != 0 || err.Error() != `"dir/b" at 0: broken`) {
			t.Errorf("block %d: %d, %v", b, n, err)
		}
	}
	if n, err := d.ReadAt(make([]byte, 3*block), 0); n != 0 || !errors.Is(err, broken) {
		t.Errorf("all of it: %d, %v", n, err)
	}
}

// TestDeviceShort has a source end before the file does.
func TestDeviceShort(t *testing.T) {
	s := &source{tree: merge(t, file("a", 10))}
	l, err := erofs.NewLayout(s.tree)
	if err != nil {
		t.Fatal(err)
	}
	d := erofs.NewDevice(l, short{s})
	if n, err := d.ReadAt(make([]byte, block), 0); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, %v", n, err)
	}
}

// A short source has one byte less than it says.
type short struct{ *source }

func (s short) ReadAt(n tree.Node, p []byte, off int64) (int, error) { return len(p) - 1, io.EOF }

// TestDeviceEmpty reads the device of a tree without contents.
func TestDeviceEmpty(t *testing.T) {
	s := &source{tree: merge(t, dir("d"), file("f", 0))}
	l, err := erofs.NewLayout(s.tree)
	if err != nil {
		t.Fatal(err)
	}
	d := erofs.NewDevice(l, s)
	p := bytes.Repeat([]byte{1}, block)
	if n, err := d.ReadAt(p, 0); n != block || err != io.EOF || len(bytes.Trim(p, "\x00")) > 0 {
		t.Errorf("%d, %v", n, err)
	}
}

func BenchmarkLayout(b *testing.B) {
	for _, files := range []int{76_000} {
		var list []index.Entry
		for i := range files / 12 {
			for k := range 12 {
				list = append(list, file(fmt.Sprintf("usr/lib/d%05d/f%02d.js", i, k), 5000))
			}
		}
		t := merge(b, list...)
		b.Run(fmt.Sprintf("number/%d", t.Len()), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := erofs.NewLayout(t); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("write/%d", t.Len()), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l, err := erofs.NewLayout(t)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(l.Size())
				if _, err := l.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestSource has two processes serve the same mount: all beneath it is the same.
func TestSource(t *testing.T) {
	s := &source{tree: merge(t, file("a", 5000), file("b", 3))}
	for _, name := range []string{"", "docker.io/library/x:y", "oci:/a//b:t", "oci:/a/../b:t", "x" + string(bytes.Repeat([]byte{'y'}, 999)), "a\nb"} {
		var told [2]string
		for i := range told {
			src, err := erofs.Source(s, fs.Options{Source: name})
			if err != nil {
				t.Fatalf("%.20q: %v", name, err)
			}
			for path, n := range src.Tree().All(tree.Root) {
				told[i] += fmt.Sprintln(path, src.Tree().Attr(n), src.Tree().Readlink(n))
			}
			device, ok := src.Tree().Lookup(tree.Root, ".device")
			p := make([]byte, block)
			if n, err := src.ReadAt(device, p, 2*block); !ok || n != block || err != io.EOF || p[0] == 0 || p[2] == 0 || p[3] != 0 {
				t.Errorf("%.20q: %v, %d, %v, % x", name, ok, n, err, p[:4])
			}
		}
		if told[0] != told[1] {
			t.Errorf("%.20q: %s and %s", name, told[0], told[1])
		}
	}
}
