package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// below are the paths of files in dir.
func (w *world) below(dir string) (list []string) {
	w.t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); rel != "." {
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// TestCp copies to where cp would.
func TestCp(t *testing.T) {
	w := newWorld(t)
	w.ok("layers", w.ref)
	for i, c := range []struct{ args, want string }{
		{"REF /etc/motd DIR", "motd"},
		{"REF /etc/motd DIR/new", "new"},
		{"REF /etc/issue DIR", "issue"},
		{"REF /etc/motd usr/bin DIR", "bin bin/ping bin/su bin/sudo motd"},
		{"REF /usr DIR/copy", "copy copy/bin copy/bin/ping copy/bin/su copy/bin/sudo"},
		{"REF /usr/. DIR", "bin bin/ping bin/su bin/sudo"},
		{"REF /usr/. DIR/new/", "new new/bin new/bin/ping new/bin/su new/bin/sudo"},
		{"REF /etc/.. DIR/all", ""},
		{"-a REF /etc DIR", "etc etc/.hidden etc/abs etc/issue etc/loop etc/motd"},
		{"REF /odd/ DIR", "odd odd/\x1b[31mred odd/new\nline odd/\xff"},
	} {
		dir := w.in(fmt.Sprint("cp", i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		args := w.words("cp " + strings.ReplaceAll(c.args, "DIR", dir))
		r := w.run(args...)
		got := strings.Join(w.below(dir), " ")
		if c.want == "" { // the whole image: its devices are left out, with a warning
			if !strings.Contains(got, "all/usr/bin/su") || !strings.Contains(r.errors, "all/dev/null: a device or a FIFO: left out") {
				t.Errorf("%s: %q, %+v", c.args, got, r)
			}
		} else if got != c.want || r.errors != "" {
			t.Errorf("%s: %q, want %q; %+v", c.args, got, c.want, r)
		}
		if r.code != exitOK || r.out != "" {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
	if fi, err := os.Lstat(w.in("cp2/issue")); err != nil || !fi.Mode().IsRegular() {
		t.Errorf("a link that was named was not followed: %v, %v", fi, err)
	}
	if fi, err := os.Lstat(w.in("cp8/etc/issue")); err != nil || fi.Mode().Type() != os.ModeSymlink {
		t.Errorf("a link below was followed: %v, %v", fi, err)
	}
	if fi, err := os.Lstat(w.in("cp3/bin/su")); err != nil || fi.Mode().Perm()&0o111 == 0 || fi.Mode()&os.ModeSetuid != 0 {
		t.Errorf("permissions: %v, %v", fi, err)
	}
	var doc struct {
		Schema, Destination string
		Files               int
	}
	w.decode(&doc, "cp", "--json", w.ref, "/usr", w.in("json"))
	if doc.Schema != "ocifs.dev/cp/v1" || doc.Files != 5 || doc.Destination != w.in("json") {
		t.Errorf("%+v", doc)
	}
}

// TestCpWrong says what is wrong, and touches nothing.
func TestCpWrong(t *testing.T) {
	w := newWorld(t)
	w.ok("layers", w.ref)
	for name, content := range map[string]string{"file": "mine", "dir/motd": "mine"} {
		os.MkdirAll(filepath.Dir(w.in(name)), 0o755)
		if err := os.WriteFile(w.in(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args    string
		code    int
		message string
	}{
		{"cp REF /etc/motd dir", exitFailure, "ocifs: error: dir/motd: file already exists\nocifs: hint: --force replaces files that are there\n"},
		{"cp REF /etc/motd file", exitFailure, "ocifs: error: file: file already exists\nocifs: hint: --force replaces files that are there\n"},
		{"cp -f REF /etc file", exitFailure, "ocifs: error: file: not a directory\n"},
		{"cp REF /etc/motd /etc/issue file", exitFailure, "ocifs: error: file: not a directory\n"},
		{"cp REF /etc/motd file/x", exitFailure, "ocifs: error: stat file/x: not a directory\n"},
		{"cp REF /etc/motd /etc/issue nope", exitNotFound, "ocifs: error: nope: no such directory\nocifs: hint: make it: mkdir -p nope\n"},
		{"cp REF /etc/motd nope/", exitNotFound, "ocifs: error: nope/: no such directory\nocifs: hint: make it: mkdir -p nope/\n"},
		{"cp REF /etc/motd no/pe", exitNotFound, "ocifs: error: no: no such directory\nocifs: hint: make it: mkdir -p no\n"},
		{"cp REF /etc/modt .", exitNotFound, "ocifs: error: /etc/modt: no such file or directory\nocifs: hint: did you mean /etc/motd?\n"},
		{"cp REF /etc/motd", exitUsage, "ocifs: error: cp: DESTINATION is missing\nocifs: hint: usage: ocifs cp [flags] IMAGE PATH… DESTINATION\n"},
		{"cp alpine:3:/etc/motd .", exitUsage, "ocifs: error: cp: DESTINATION is missing\nocifs: hint: usage: ocifs cp [flags] IMAGE PATH… DESTINATION\nocifs: hint: the path stands apart: ocifs cp alpine:3 /etc/motd .\n"},
		{"cp REF -f /etc/motd -", exitUsage, "ocifs: error: cp: to standard output, neither --json nor --force makes sense\n"},
		{"export REF --json", exitUsage, "ocifs: error: export: --json needs -o FILE: standard output is the archive's\n"},
		{"export REF /nope", exitNotFound, "ocifs: error: /nope: no such file or directory\n"},
		{"export REF -o no/x.tar", exitNotFound, "ocifs: error: no: no such directory\nocifs: hint: make it: mkdir -p no\n"},
		{"export REF -o /dev/full", exitFailure, "ocifs: error: /dev/full: no space left on device\nocifs: hint: what was written is no whole archive\n"},
	} {
		if got := w.run(w.words(c.args)...); got != (result{c.code, "", c.message}) {
			t.Errorf("%s: got %+v", c.args, got)
		}
	}
	if got := w.below(w.in("dir")); !slices.Equal(got, []string{"motd"}) {
		t.Errorf("%q", got)
	}
	w.ok("cp", "-f", w.ref, "/etc/motd", "dir")
	if b, err := os.ReadFile(w.in("dir/motd")); string(b) != "hello\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestCpToTar writes archives of what is named, under its last name, and
// export of the same under its whole path.
func TestCpToTar(t *testing.T) {
	w := newWorld(t)
	w.ok("layers", w.ref)
	for _, c := range []struct{ args, want string }{
		{"cp REF /usr/bin /etc/issue -", "bin/ bin/ping bin/su bin/sudo issue"},
		{"cp REF /usr/. -", "./ bin/ bin/ping bin/su bin/sudo"},
		{"export REF usr/bin etc/issue", "usr/bin/ usr/bin/ping usr/bin/su usr/bin/sudo etc/issue"},
		{"export REF /usr/bin/../..", "./ dev/ dev/null dev/pipe etc/ etc/.hidden etc/abs etc/issue etc/loop etc/motd odd/ odd/\x1b[31mred odd/new\nline odd/\xff usr/ usr/bin/ usr/bin/ping usr/bin/su usr/bin/sudo"},
	} {
		r := tar.NewReader(strings.NewReader(w.ok(w.words(c.args)...)))
		var names []string
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", c.args, err)
			}
			names = append(names, h.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
	var doc struct {
		Schema, Digest string
		Bytes          int64
	}
	w.decode(&doc, "export", "--json", w.ref, "-o", w.in("x.tar"))
	fi, err := os.Stat(w.in("x.tar"))
	if err != nil || doc.Schema != "ocifs.dev/export/v1" || fi.Size() != doc.Bytes || !strings.HasPrefix(doc.Digest, "sha256:") {
		t.Errorf("%+v, %v", doc, err)
	}
}
