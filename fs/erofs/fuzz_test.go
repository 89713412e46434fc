package erofs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/erofs"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A dice makes a layer of bytes. When they run out, all throws are 0.
type dice struct{ b []byte }

func (d *dice) throw(n int) int {
	if len(d.b) == 0 {
		return 0
	}
	v := int(d.b[0]) % n
	d.b = d.b[1:]
	return v
}

// length is a length of up to most bytes, more often a short one.
func (d *dice) length(most int) int { return d.throw(256) * d.throw(256) % (most + 1) }

func (d *dice) path() string {
	parts := make([]string, 1+d.throw(3))
	for i := range parts {
		parts[i] = string("abcdefgh"[d.throw(8)]) + strings.Repeat("n", d.throw(2)*d.throw(250))
	}
	return strings.Join(parts, "/")
}

func (d *dice) edits() (list []edit) {
	if d.throw(3) == 0 {
		list = append(list, mode(uint32(d.throw(256))<<4), own(uint32(d.throw(256))<<17, uint32(d.throw(3))), at(int64(d.throw(256))<<27-1<<33, int64(d.throw(256))<<20))
	}
	for range d.throw(2) * d.throw(4) {
		name := []string{"user.", "security."}[d.throw(2)] + "x" + strings.Repeat("n", d.throw(256)) + fmt.Sprint(d.throw(256))
		list = append(list, xattr(name, strings.Repeat("v", d.length(70_000))))
	}
	return list
}

func (d *dice) entries() (list []index.Entry) {
	for range d.throw(60) {
		name, e := d.path(), d.edits()
		switch d.throw(8) {
		case 0:
			list = append(list, dir(name, e...))
		case 1:
			list = append(list, symlink(name+".l", strings.Repeat("t", 1+d.length(4094)), e...))
		case 2:
			if len(list) > 0 {
				list = append(list, hard(name, list[d.throw(len(list))].Name))
			}
		case 3:
			list = append(list, node(name, []uint32{index.ModeChar, index.ModeBlock, index.ModeFIFO}[d.throw(3)]|0o600, uint32(d.throw(256)), uint32(d.throw(256))<<8))
		case 4:
			size := int64(d.length(9000))
			x := index.Extent{Off: min(size, int64(d.length(9000)))}
			x.Len = min(size-x.Off, int64(d.length(5000)))
			list = append(list, file(name, size, append(e, data(x))...))
		case 5: // many names
			for k := range d.throw(80) {
				list = append(list, file(fmt.Sprintf("%s/%s%d", name, strings.Repeat("m", d.throw(4)*60), k), int64(d.throw(3))))
			}
		default:
			list = append(list, file(name, int64(d.length(9000)), e...))
		}
	}
	return list
}

// check has a tree of bytes written and read again, and says of how many files
// it was: none, if it fits no image.
func check(b []byte) (int, error) {
	list := (&dice{b}).entries()
	off := int64(0)
	for i := range list {
		list[i].Off = off
		off += list[i].Size
	}
	m, err := tree.Merge([]*index.TOC{index.New(list)})
	if err != nil { // a hard link to a directory, or to nothing
		list = slices.DeleteFunc(list, func(e index.Entry) bool { return e.HardLink })
		m, err = tree.Merge([]*index.TOC{index.New(list)})
	}
	if err == nil {
		err = compare(m)
	}
	if errors.Is(err, erofs.ErrUnfit) {
		return 0, nil
	}
	return len(list), err
}

// TestImageRandom is FuzzImage without a fuzzer.
func TestImageRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	files := 0
	for i := range 60 {
		b := make([]byte, 40+i*10)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		n, err := check(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		files += n
	}
	if files < 1000 {
		t.Errorf("only %d files were looked at", files)
	}
}

// FuzzImage writes trees of all kinds as images, and reads them as their
// specification says: each must describe its tree and nothing else.
func FuzzImage(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := check(b); err != nil {
			t.Fatal(err)
		}
	})
}
