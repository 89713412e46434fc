package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestObjects(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	s := open(t, dir, 0)
	if _, err := s.Get("k"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent object: %v", err)
	}
	for _, want := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte("y"), 1<<20)} {
		if err := s.Put("k", want); err != nil {
			t.Fatal(err)
		}
		got, err := open(t, dir, 0).Get("k")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	left(t, dir, "tmp", 0)
}

func TestDamagedObject(t *testing.T) {
	content := []byte("some bytes that matter")
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":    func(b []byte) []byte { return nil },
		"cut":      func(b []byte) []byte { return b[:len(b)-1] },
		"longer":   func(b []byte) []byte { return append(b, 0) },
		"first":    func(b []byte) []byte { b[0] ^= 1; return b },
		"magic":    func(b []byte) []byte { b[len(content)] ^= 1; return b },
		"last":     func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b },
		"zeros":    func(b []byte) []byte { return make([]byte, len(b)) },
		"trailer":  func(b []byte) []byte { return b[len(content):] },
		"one byte": func(b []byte) []byte { return b[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			if err := s.Put("k", content); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "v1/objects/k")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get("k"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %q, %v", got, err)
			}
			left(t, dir, "objects", 0)
		})
	}
}

// Something else in an object's place is damage too.
func TestNotAnObject(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	path := filepath.Join(dir, "v1/objects/k")
	for name, make := range map[string]func() error{
		"directory": func() error { return os.MkdirAll(path+"/x/y", 0o700) },
		"link":      func() error { return os.Symlink(dir, path) },
		"pipe":      func() error { return unix.Mkfifo(path, 0o600) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get("k"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		left(t, dir, "objects", 0)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	for _, key := range []string{"a", "sha256:0aF", "..a", "a.b_c:d+e-f", strings.Repeat("x", 200)} {
		if err := s.Put(key, nil); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{"", ".", "..", "a/b", "../a", "a b", "a\x00", "ä", "a\n", strings.Repeat("x", 201)} {
		_, get := s.Get(key)
		_, space := s.Space(key, tiles{}, nil)
		_, lock := s.Lock(t.Context(), key)
		b := s.Build()
		for i, err := range []error{s.Put(key, nil), get, space, lock, b.Commit(key)} {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q, call %d: %v", key, i, err)
			}
		}
	}
}
