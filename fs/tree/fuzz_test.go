package tree_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A dice makes layers of bytes. When they run out, all throws are 0.
type dice struct{ b []byte }

func (d *dice) throw(n int) int {
	if len(d.b) == 0 {
		return 0
	}
	v := int(d.b[0]) % n
	d.b = d.b[1:]
	return v
}

func (d *dice) pick(list ...string) string { return list[d.throw(len(list))] }

// path is a path of a few parts. There are few names, so that paths meet.
func (d *dice) path() string {
	parts := make([]string, 1+d.throw(4))
	for i := range parts {
		parts[i] = d.pick("a", "b", "c", "d", "a", "b", "c", "d", ".wh..wh.x")
	}
	return strings.Join(parts, "/")
}

func (d *dice) member(n int) member {
	name := d.path()
	var o []option
	if d.throw(4) == 0 {
		o = append(o, mode(uint32(d.throw(8))), own(uint32(d.throw(3)), 0), at(int64(n), 0))
	}
	if d.throw(8) == 0 {
		o = append(o, xattr("user.x", d.pick("1", "2")))
	}
	content := fmt.Sprint("content", n)
	switch d.throw(20) {
	case 0, 1, 2:
		return wh(name, o...)
	case 3:
		return file(name+"/.wh..wh..opq", content, o...)
	case 4, 5, 6:
		return dir(name, o...)
	case 7, 8, 9:
		return symlink(name, strings.Repeat("../", d.throw(3))+d.pick("", "/")+d.path(), o...)
	case 10, 11, 12, 13:
		return hard(name, d.path(), o...)
	case 14:
		return fifo(name, o...)
	case 15:
		if d.throw(8) == 0 {
			return file(d.pick("", ".wh..wh..opq", "a/.wh.", "b/.wh..", "c//d", "/a", "a/", "."), content, o...)
		}
		return dir("", o...)
	}
	return file(name, content, o...)
}

func (d *dice) layers() []layer {
	layers := make([]layer, 1+d.throw(4))
	for i := range layers {
		for n := range 1 + d.throw(12) {
			layers[i] = append(layers[i], d.member(100*i+n))
		}
	}
	return layers
}

// compare merges layers, and then has the reference merge them.
func compare(layers []layer) error {
	s := pile(layers...)
	m, err := tree.Merge(s.tocs)
	want, wantErr := reference(layers)
	switch {
	case err != nil && wantErr != nil:
		return nil
	case err != nil || wantErr != nil:
		return fmt.Errorf("error is %v, want %v", err, wantErr)
	}
	if err := invariants(m); err != nil {
		return err
	}
	if got := words(m, s.contents); !slices.Equal(got, want) {
		return fmt.Errorf("tree is wrong: %s", changes(want, got))
	}
	return nil
}

func tell(layers []layer) string {
	var b strings.Builder
	for i, l := range layers {
		fmt.Fprintf(&b, "layer %d\n", i)
		for _, m := range l {
			fmt.Fprintf(&b, "\t%s\n", m.Entry.String())
		}
	}
	return b.String()
}

// valid drops entries until the reference takes the layers, so that most
// random stacks come to something.
func valid(layers []layer) []layer {
	for i := range layers {
		for n := 0; n < len(layers[i]); {
			if _, err := reference(layers[:i+1]); err == nil {
				break
			}
			layers[i] = layers[i][:len(layers[i])-1]
		}
	}
	return layers
}

func TestMergeRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		layers := (&dice{b}).layers()
		if i%4 != 0 {
			layers = valid(layers)
		}
		if err := compare(layers); err != nil {
			t.Fatalf("%v\n%s", err, tell(layers))
		}
	}
}

func FuzzMerge(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		layers := (&dice{b}).layers()
		if err := compare(layers); err != nil {
			t.Fatalf("%v\n%s", err, tell(layers))
		}
	})
}

// FuzzMergeRaw makes entries of the fuzzer's bytes as they are: whatever they
// say, Merge returns a tree or an error.
func FuzzMergeRaw(f *testing.F) {
	f.Add("a/b\x00a/b\x00a\x00.wh.a", []byte{4, 8, 12, 8})
	f.Add("s\x00s/x\x00../..\x00s/s", []byte{0xa, 8, 0x1a, 0x2a})
	f.Fuzz(func(t *testing.T, names string, kinds []byte) {
		var l layer
		list := strings.Split(names, "\x00")
		for i, k := range kinds {
			m := file(list[i%len(list)], "", kind(uint32(k)<<12&index.ModeType), to(list[(i+1)%len(list)]))
			m.HardLink = k&0x10 != 0
			l = append(l, m)
		}
		half := len(l) / 2
		m, err := tree.Merge(pile(l[:half], l[half:]).tocs)
		if err != nil {
			return
		}
		if err := invariants(m); err != nil {
			t.Fatal(err)
		}
	})
}
