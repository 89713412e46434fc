package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogFile never has more than two files of the limit, and the last lines.
func TestLogFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l, err := openLogFile(name, 1000)
	if err != nil {
		t.Fatal(err)
	}
	check := func(last string) {
		t.Helper()
		now, err := os.ReadFile(name)
		before, _ := os.ReadFile(name + ".1")
		if err != nil || len(now) > 1000 || len(before) > 1000 || !strings.HasSuffix(string(now), last) {
			t.Fatalf("%d and %d bytes, %v", len(before), len(now), err)
		}
		if all := append(before, now...); bytes.Count(all, []byte("\n"))*10 != len(all) {
			t.Fatalf("lines are cut: %q", all)
		}
	}
	for i := range 950 {
		line := fmt.Sprintf("line %04d\n", i)
		if n, err := l.Write([]byte(line)); n != 10 || err != nil {
			t.Fatal(n, err)
		}
		check(line)
	}
	if l, err = openLogFile(name, 1000); err != nil { // it goes on in what is there
		t.Fatal(err)
	}
	l.Write([]byte("line last\n"))
	check("line 0949\nline last\n")
	if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	if err := os.RemoveAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // nobody sees it, but nor does it grow
		if n, err := l.Write([]byte("line gone\n")); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	if fi, err := l.f.Stat(); err != nil || fi.Size() > 1000 {
		t.Errorf("%v, %v", fi, err)
	}
}
