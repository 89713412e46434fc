package erofs_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ocifs.dev/ocifs/fs/erofs"
	"ocifs.dev/ocifs/fs/tree"
)

// TestLargestChunks has a file of more than the largest chunk, which is two.
func TestLargestChunks(t *testing.T) {
	const tib = 1 << 40
	m := merge(t, file("a", 4096), file("b", 9*tib))
	l, err := erofs.NewLayout(m)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := l.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	r, err := openImage(b.Bytes(), nil, (9*tib/4096+1)*block)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := m.Lookup(tree.Root, "b")
	f, err := r.inode(l.Inode(n))
	if err != nil || f.layout != 4 || f.where != 0x20|31 {
		t.Fatalf("%+v, %v", f, err)
	}
	for i, want := range []uint64{1<<16 | 1<<32, 1<<16 | (1+1<<31)<<32} {
		if e := binary.LittleEndian.Uint64(b.Bytes()[f.at+8*int64(i):]); e != want {
			t.Errorf("chunk %d is %#x, want %#x", i, e, want)
		}
	}
}
