package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/gob"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnpackedExpires gives the copy up when nobody reads, and not before, and
// makes it again for who comes later.
func TestUnpackedExpires(t *testing.T) {
	text := strings.Repeat("text ", 100_000)
	name := filepath.Join(t.TempDir(), "x.gz")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	u := newUnpacked(context.Background(), f, gzipped, t.TempDir())
	if n, err := u.measure(); n != int64(len(text)) || err != nil {
		t.Fatal(n, err)
	}
	for range 2 {
		copied, err := u.take()
		if err != nil {
			t.Fatal(err)
		}
		u.expire()
		if _, err := copied.Stat(); err != nil {
			t.Errorf("the copy was given up while it was read: %v", err)
		}
		u.release()
		u.expire()
		if _, err := copied.Stat(); err == nil {
			t.Error("the copy is there though nobody reads it")
		}
		got, err := io.ReadAll(io.NewSectionReader(u, 0, u.size))
		if err != nil || string(got) != text {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if _, err := u.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("read after Close")
	}
}

// note is a Memory of one thing.
type note []byte

func (n note) Get(string) ([]byte, error) { return n, nil }
func (n note) Put(string, []byte) error   { return nil }

// FuzzRecall opens all members that a memory has, whatever it says.
func FuzzRecall(f *testing.F) {
	for _, l := range []learnt{
		{},
		{Size: 10, Members: map[string]member{"a": {Off: 1, Size: 9}, "b": {Link: "a"}, "c": {Odd: "odd"}}, Docs: map[string]string{"a": "[1,2,3,4]"}},
		{Size: 10, Members: map[string]member{"a": {Off: 9, Size: 9}}},
		{Size: 10, Members: map[string]member{"a": {Off: -9, Size: 1 << 62}, "b": {Link: "b"}}},
	} {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(l); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &archive{at: strings.NewReader("0123456789"), packed: true, key: "k"}
		if !a.recall(note(b)) {
			return
		}
		for name := range a.Members {
			f, err := a.open(name)
			if err != nil {
				continue
			}
			if f.size < 0 || f.size > a.Size {
				t.Errorf("%q has %d bytes of %d", name, f.size, a.Size)
			}
			f.ReadAt(make([]byte, 10), 0)
		}
	})
}
