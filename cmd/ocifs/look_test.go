package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestLook looks into the test image with every command, and holds what it
// prints to the byte.
func TestLook(t *testing.T) {
	w := newWorld(t)
	w.ok("layers", w.ref) // so that the layers are known, whatever comes first
	for _, c := range []struct{ args, want string }{
		{"ls REF", "dev\netc\nodd\nusr\n"},
		{"ls REF etc /usr/bin/ping", "/usr/bin/ping\n\netc:\nabs\nissue\nloop\nmotd\n"},
		{"ls REF -a etc/", ".\n..\n.hidden\nabs\nissue\nloop\nmotd\n"},
		{"ls REF odd", "\x1b[31mred\nnew\nline\n\xff\n"},
		{"ls REF -l odd", "" +
			`-rw-r--r-- 1 0 0 1 2026-01-02 03:04 $'\x1b[31mred'` + "\n" +
			`-rw-r--r-- 1 0 0 1 2026-01-02 03:04 $'new\nline'` + "\n" +
			`-rw-r--r-- 1 0 0 5 2026-01-02 03:04 $'\xff'` + "\n"},
		{"ls REF -l etc dev", "etc:\n" +
			"lrwxrwxrwx 1 0  0 9 2026-01-02 03:04 abs -> /etc/motd\n" +
			"lrwxrwxrwx 1 0  0 4 2026-01-02 03:04 issue -> motd\n" +
			"lrwxrwxrwx 1 0  0 4 2026-01-02 03:04 loop -> loop\n" +
			"-rw-r----- 1 5 70 6 2026-01-02 03:04 motd\n" +
			"\ndev:\n" +
			"crw-rw-rw- 1 0 0 1, 3 2026-01-02 03:04 null\n" +
			"prw-r--r-- 1 0 0    0 2026-01-02 03:04 pipe\n"},
		{"ls -lh REF /usr /usr/bin", "/usr:\n" +
			"drwxr-xr-x 2 0 0 4.0K 2026-01-02 03:04 bin\n" +
			"\n/usr/bin:\n" +
			"-rw-r--r-- 1 0 0    1 2026-01-02 03:04 ping\n" +
			"-rwsr-xr-x 2 0 0 3.0K 2026-01-02 03:04 su\n" +
			"-rwsr-xr-x 2 0 0 3.0K 2026-01-02 03:04 sudo\n"},
		{"ls -R REF /usr", "/usr:\nbin\n\n/usr/bin:\nping\nsu\nsudo\n"},
		{"ls --color=always REF /", "\x1b[34;1mdev\x1b[m\n\x1b[34;1metc\x1b[m\n\x1b[34;1modd\x1b[m\n\x1b[34;1musr\x1b[m\n"},
		{"cat REF etc/motd /etc/issue etc/abs", "hello\nhello\nhello\n"},
		{"cat REF ../../etc/./motd", "hello\n"},
		{"tree REF", `/
├── dev
│   ├── null
│   └── pipe
├── etc
│   ├── .hidden
│   ├── abs -> /etc/motd
│   ├── issue -> motd
│   ├── loop -> loop
│   └── motd
├── odd
│   ├── $'\x1b[31mred'
│   ├── $'new\nline'
│   └── $'\xff'
└── usr
    └── bin
        ├── ping
        ├── su
        └── sudo

5 directories, 13 files
`},
		{"tree -L1 --size REF", "/  2.9 KiB\n├── dev  0 B\n├── etc  7 B\n├── odd  7 B\n└── usr  2.9 KiB\n\n4 directories, 0 files\n"},
		{"tree --dirs REF usr", "/usr\n└── bin\n\n1 directory, 0 files\n"},
		{"tree REF etc/motd", "/etc/motd\n\n0 directories, 0 files\n"},
		{"stat REF usr/bin/ping", `    Path:  /usr/bin/ping
    Type:  regular file
    Mode:  0644 (-rw-r--r--)
   Owner:  0:0
    Size:  1
Modified:  2026-01-02 03:04:05.6 +0000
   Inode:  58
   Links:  1
   Layer:  2/2 sha256:TOP (RUN install ping)
   Xattr:  security.capability=0x01000002
   Xattr:  user.note=hi there
`},
		{"stat REF etc/issue dev/null", `    Path:  /etc/issue -> motd
    Type:  symbolic link
    Mode:  0777 (lrwxrwxrwx)
   Owner:  0:0
    Size:  4
Modified:  2026-01-02 03:04:05.6 +0000
   Inode:  35
   Links:  1
   Layer:  1/2 sha256:BASE (ADD base /)

    Path:  /dev/null
    Type:  character device
    Mode:  0666 (crw-rw-rw-)
   Owner:  0:0
  Device:  1:3
Modified:  2026-01-02 03:04:05.6 +0000
   Inode:  25
   Links:  1
   Layer:  1/2 sha256:BASE (ADD base /)
`},
	} {
		base, top := w.layers()
		want := strings.NewReplacer("sha256:BASE", base, "sha256:TOP", top).Replace(c.want)
		if got := w.ok(w.words(c.args)...); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.args, got, want)
		}
	}
	w.nothingLeft()
}

// words are the words of a line, with REF for the image.
func (w *world) words(line string) []string {
	words := strings.Fields(line)
	for i := range words {
		if words[i] == "REF" {
			words[i] = w.ref
		}
	}
	return words
}

// layers are the short digests of the test image's layers.
func (w *world) layers() (base, top string) {
	var list struct{ Layers []layerInfo }
	w.decode(&list, "layers", "--json", w.ref)
	return shortDigest(list.Layers[0].Digest), shortDigest(list.Layers[1].Digest)
}

// decode runs a command that prints JSON.
func (w *world) decode(v any, args ...string) {
	w.t.Helper()
	out := w.ok(args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		w.t.Fatalf("ocifs %q: %v:\n%s", args, err, out)
	}
}

// TestLookWrong goes on with the other paths after one that is wrong.
func TestLookWrong(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args    string
		code    int
		out     string
		message string
	}{
		{"cat REF /nope /etc/motd", exitNotFound, "hello\n", "ocifs: error: /nope: no such file or directory\n"},
		{"cat REF /etc/motd/x", exitNotFound, "", "ocifs: error: /etc/motd/x: not a directory\n"},
		{"cat REF etc/modt etc/motd", exitNotFound, "hello\n", "ocifs: error: /etc/modt: no such file or directory\nocifs: hint: did you mean /etc/motd?\n"},
		{"cat REF /etc/loop", exitFailure, "", "ocifs: error: /etc/loop: too many levels of symbolic links\n"},
		{"cat REF /etc", exitFailure, "", "ocifs: error: /etc: not a regular file, but a directory\nocifs: hint: ocifs ls shows what is in it\n"},
		{"cat REF dev/null", exitFailure, "", "ocifs: error: /dev/null: not a regular file, but a character device\n"},
		{"ls REF nope usr", exitNotFound, "usr:\nbin\n", "ocifs: error: /nope: no such file or directory\n"},
		{"ls REF etc/loop", exitFailure, "", "ocifs: error: /etc/loop: too many levels of symbolic links\n"},
		{"stat REF \x1b[2J", exitNotFound, "", `ocifs: error: $'/\x1b[2J': no such file or directory` + "\n"},
		{"tree REF nope", exitNotFound, "", "ocifs: error: /nope: no such file or directory\n"},
		{"tree REF -L 0", exitUsage, "", "ocifs: error: tree: --level is at least 1, not 0\n"},
		{"tree REF -L x", exitUsage, "", "ocifs: error: invalid value \"x\" for --level\n"},
		{"inspect --raw --json REF", exitUsage, "", "ocifs: error: inspect: only one of --raw, --manifest, --config and --json\n"},
		{"ls --color=blue REF", exitUsage, "", "ocifs: error: --color is auto, always or never, not \"blue\"\n"},
		{"ls --log-level=loud REF", exitUsage, "", "ocifs: error: --log-level is debug, info, warn or error, not \"loud\"\n"},
		{"ls --log-format=xml REF", exitUsage, "", "ocifs: error: --log-format is text or json, not \"xml\"\n"},
		{"ls --cache-size=5 REF", exitUsage, "", "ocifs: error: --cache-size \"5\": 5 B hold nothing\nocifs: hint: as in 500MiB or 20GiB\n"},
		{"export -o nope/x REF", exitNotFound, "", "ocifs: error: nope: no such directory\nocifs: hint: make it: mkdir -p nope\n"},
		{"run -e = REF true", exitUsage, "", "ocifs: error: --env \"=\": a variable without a name\nocifs: hint: as in -e KEY=VALUE\n"},
		{"ls --index=mine REF", exitUsage, "", "ocifs: error: --index: no index policy \"mine\" (there are off, local, trusted, repository)\n"},
		{"ls --retry=-1 REF", exitUsage, "", "ocifs: error: --retry is a number, not -1\n"},
	} {
		if got := w.run(w.words(c.args)...); got != (result{c.code, c.out, c.message}) {
			t.Errorf("%s: got %+v", c.args, got)
		}
	}
}

// TestLookJSON reads the JSON of each command, names that are not UTF-8
// included.
func TestLookJSON(t *testing.T) {
	w := newWorld(t)
	var ls struct {
		Schema  string
		Entries []fileInfo
	}
	w.decode(&ls, "ls", "--json", "-R", w.ref, "/odd", "/etc/issue")
	var paths []string
	for _, e := range ls.Entries {
		paths = append(paths, e.Path+e.PathBase64)
	}
	if got := strings.Join(paths, "|"); got != "/etc/issue|/odd/\x1b[31mred|/odd/new\nline|/odd/\uFFFDL29kZC//" || ls.Schema != "ocifs.dev/ls/v1" {
		t.Errorf("%s: %q", ls.Schema, got)
	}
	var stat struct {
		Schema string
		Files  []fileDetail
	}
	w.decode(&stat, "stat", "--json", "-L", w.ref, "/etc/abs", "/usr/bin/ping")
	if f := stat.Files; len(f) != 2 || f[0].Type != "file" || f[0].Mode != "0640" || f[0].UID != 5 || f[0].Size != 6 || f[0].CreatedBy != "ADD base /" ||
		len(f[1].Xattrs) != 2 || f[1].Xattrs[1] != (jsonAttr{Name: "user.note", Value: "aGkgdGhlcmU="}) || stat.Schema != "ocifs.dev/stat/v1" {
		t.Errorf("%+v", stat)
	}
	var layers struct {
		Schema string
		Layers []layerInfo
	}
	w.decode(&layers, "layers", "--json", w.ref, "--index=local")
	if l := layers.Layers; len(l) != 2 || l[0].Format != "gzip" || l[1].Format != "zstd" || !l[0].Lazy || l[0].Index != "cache" || l[1].CreatedBy != "RUN install ping" || l[0].Entries != 13 {
		t.Errorf("%+v", layers)
	}
	var i inspected
	w.decode(&i, "inspect", "--json", w.ref)
	if i.Schema != "ocifs.dev/inspect/v1" || i.Name != w.ref || len(i.Layers) != 2 || i.Layers[0].Format != "gzip" || i.Layers[1].Format != "zstd" || !i.Layers[0].Lazy || i.Selected.Digest != i.Digest || len(i.Config) == 0 {
		t.Errorf("%+v", i)
	}
	var drawn struct {
		Schema  string
		Entries []treeEntry
	}
	w.decode(&drawn, "tree", "--json", "-L2", "--dirs", w.ref)
	if e := drawn.Entries; drawn.Schema != "ocifs.dev/tree/v1" || len(e) != 6 || e[0].Path != "/" || e[0].Total != 3015 || e[5].Path != "/usr/bin" || e[5].Depth != 2 || e[5].Total != 3001 {
		t.Errorf("%+v", drawn)
	}
	var none struct{ Entries []fileInfo }
	w.decode(&none, "ls", "--json", w.ref, "/dev/pipe")
	if len(none.Entries) != 1 || none.Entries[0].Type != "fifo" {
		t.Errorf("%+v", none)
	}
}

// TestYears prints times that Go's JSON refuses.
func TestYears(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("years"), lt.Image{Tag: "t", Layers: []lt.Layer{lt.Plain(lt.Tar(
		lt.File("far", "", lt.ModTime(time.Unix(1<<40, 0))), lt.File("old", "", lt.ModTime(time.Unix(-1, 0))),
	))}})
	var ls struct{ Entries []fileInfo }
	w.decode(&ls, "ls", "--json", "oci:"+w.in("years"))
	if e := ls.Entries; len(e) != 2 || e[0].ModTime != "36812-02-20T00:36:16Z" || e[1].ModTime != "1969-12-31T23:59:59Z" {
		t.Errorf("%+v", e)
	}
}

// TestInspect prints documents as they are, and the rest for people.
func TestInspect(t *testing.T) {
	w := newWorld(t)
	text := w.ok("inspect", w.ref)
	for _, line := range []string{
		"Name        " + w.ref + "\n", `Cmd         ["/bin/sh","-c","echo \u001b"]` + "\n",
		"Env         A=1\n            B=2\n", "RUN install ping\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if raw, manifest := w.ok("inspect", "--raw", w.ref), w.ok("inspect", "--manifest", w.ref); raw != manifest || !json.Valid([]byte(raw)) {
		t.Errorf("raw %q, manifest %q", raw, manifest)
	}
	if config := w.ok("inspect", "--config", w.ref); !strings.Contains(config, `"history"`) || !json.Valid([]byte(config)) {
		t.Errorf("%q", config)
	}
}

// TestVersion prints what was stamped.
func TestVersion(t *testing.T) {
	w := newWorld(t)
	if out := w.ok("--version"); !strings.HasPrefix(out, "ocifs v1.2.3-test (go1.") {
		t.Errorf("%q", out)
	}
	var v versionInfo
	w.decode(&v, "version", "--json")
	if v.Schema != "ocifs.dev/version/v1" || v.Version != "v1.2.3-test" || v.Go == "" || v.Platform == "" {
		t.Errorf("%+v", v)
	}
}

// TestHelp prints help on stdout when asked, on stderr when not, and teaches:
// every command has an example and the exit codes.
func TestHelp(t *testing.T) {
	w := newWorld(t)
	w.env = append(w.env, "OCIFS_CREDS=u:s3cret")
	if r := w.run(); r.code != exitUsage || r.out != "" || !strings.Contains(r.errors, "usage: ocifs COMMAND") {
		t.Errorf("%+v", r)
	}
	overview := w.ok("help")
	for _, c := range visible(newApp().Commands) {
		if !strings.Contains(overview, "\n  "+strings.Join(c.Names(), ", ")+" ") {
			t.Errorf("ocifs help does not list %s", c.Name)
		}
		help := w.ok(c.Name, "--help")
		for _, part := range []string{"usage: ocifs " + c.Name + " [flags]", "\nexamples:\n  $ ocifs ", "\nexit codes:\n    0  ", "OCIFS_", "\nflags of every command:\n"} {
			if !strings.Contains(help, part) {
				t.Errorf("%s --help has no %q:\n%s", c.Name, part, help)
			}
		}
		if strings.Contains(help, "s3cret") || strings.Contains(help, "%!") {
			t.Errorf("%s --help:\n%s", c.Name, help)
		}
	}
}

// TestFullDisk tells of output that could not be written.
func TestFullDisk(t *testing.T) {
	w := newWorld(t)
	for _, args := range []string{"cat REF etc/motd", "ls REF", "version", "inspect --raw REF"} {
		cmd := w.command(w.words(args)...)
		full, err := openFull()
		if err != nil {
			t.Skip(err)
		}
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr = full, &errs
		cmd.Run()
		full.Close()
		if code := cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%s: exit code %d, %q", args, code, errs.String())
		}
	}
}

// openFull opens the device that is always full.
func openFull() (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
