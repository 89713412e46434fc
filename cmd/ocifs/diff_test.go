package main

import (
	"os"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// otherImage is the test image with a layer more, which changes something of
// everything.
func otherImage() lt.Image {
	at := lt.ModTime(time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC))
	img := testImage()
	img.Tag = "u"
	img.Config.Config.Env = []string{"A=2"}
	img.Config.History = nil
	img.Layers = append(img.Layers, lt.GzipLayer(lt.Tar(
		lt.File("etc/motd", "HELLO\n", at, lt.Mode(0o600)), lt.Symlink("etc/issue", "/dev/\x1b", at), lt.Whiteout("etc/abs"),
		lt.File("usr/bin/ping", "pp", at, lt.Xattr("user.note", "ho")), lt.Char("dev/null", 1, 5, at, lt.Mode(0o666)),
		lt.Dir("odd/new\nline", at), lt.File("odd/new\nline/x", "", at), lt.Whiteout("usr/bin/sudo"), lt.File("new", "", at),
	)))
	return img
}

const otherChanges = `C  Env
M  /dev/null  (device 1:3 → 1:5)
D  /etc/abs
M  /etc/issue  (target motd → $'/dev/\x1b')
M  /etc/motd  (mode 0640 → 0600, owner 5:70 → 0:0, content)
A  /new
T  $'/odd/new\nline'  (type regular file → directory)
A  $'/odd/new\nline/x'
M  /usr/bin/ping  (size 1 → 2, xattr security.capability user.note)
M  /usr/bin/su  (links 2 → 1)
D  /usr/bin/sudo
`

// TestDiff tells what became of every kind of file.
func TestDiff(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("layout"), testImage(), otherImage())
	other := strings.TrimSuffix(w.ref, ":t") + ":u"
	w.ok("layers", other)
	w.looks([]looking{
		{"diff REF " + other, otherChanges},
		{"diff REF REF", ""},
		{"diff --exit-code REF REF", ""},
		{"diff REF REF /etc", ""},
		{"diff REF " + other + " /etc --ignore mode,owner", "D  /etc/abs\nM  /etc/issue  (target motd → $'/dev/\\x1b')\nM  /etc/motd  (content)\n"},
		{"diff REF " + other + " /etc/motd --ignore content,mode,owner", ""},
		{"diff REF " + other + " /new", "A  /new\n"},
		{"diff " + other + " REF usr/bin/sudo --ignore config", "A  /usr/bin/sudo\n"},
		{"diff REF " + other + " --ignore config /dev", "M  /dev/null  (device 1:3 → 1:5)\n"},
		{"diff REF " + other + " --color=always /new", "\x1b[32mA\x1b[m  /new\n"},
	})
	for _, c := range []struct {
		args    string
		code    int
		out     string
		message string
	}{
		{"diff --exit-code REF " + other, exitFailure, otherChanges, ""},
		{"diff REF " + other + " /nope", exitNotFound, "", "ocifs: error: /nope: no such file or directory\n"},
		{"diff REF", exitUsage, "", "ocifs: error: diff: OTHER is missing\nocifs: hint: usage: ocifs diff [flags] IMAGE OTHER [PATH]\n"},
		{"diff REF " + other + " --ignore time", exitUsage, "", "ocifs: error: diff: --ignore: no aspect \"time\" of a file (there are mode, owner, mtime, size, content, target, device, xattr, links)\n"},
		{"diff ./state REF", exitUsage, "", "ocifs: error: diff: ./state is a directory, and no image\nocifs: hint: a directory comes second: ocifs diff IMAGE ./state\n"},
		{"diff --exit-code REF " + other + " /etc/loop/x", exitUsage, "", "ocifs: error: /etc/loop/x: too many levels of symbolic links\n"},
	} {
		os.Mkdir(w.in("state"), 0o700)
		if got := w.run(w.words(c.args)...); got != (result{c.code, c.out, c.message}) {
			t.Errorf("%s: got %+v", c.args, got)
		}
	}
	var doc struct {
		Schema  string
		Old     jsonSide
		Config  []string
		Changes []jsonChange
	}
	w.decode(&doc, "diff", "--json", w.ref, other)
	c := doc.Changes
	if doc.Schema != "ocifs.dev/diff/v1" || doc.Old.Name != w.ref || !strings.HasPrefix(doc.Old.Digest, "sha256:") || len(doc.Config) != 1 || len(c) != 10 ||
		c[0].Status != "modified" || c[0].What[0] != "device" || c[0].New.Device != "1:5" || c[1].Status != "deleted" || c[1].New != nil || c[4].Status != "added" || c[4].Old != nil || c[5].Status != "retyped" {
		t.Errorf("%+v", doc)
	}
}

// TestDiffViews compares the same part of both images, and no settings.
func TestDiffViews(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("layout"), testImage(), otherImage())
	other := strings.TrimSuffix(w.ref, ":t") + ":u"
	w.ok("layers", other)
	w.looks([]looking{
		{"diff --layer 1 REF " + other, ""},
		{"diff --layer 2 REF REF", ""},
		{"diff --subpath etc REF " + other, "D  /abs\nM  /issue  (target motd → $'/dev/\\x1b')\nM  /motd  (mode 0640 → 0600, owner 5:70 → 0:0, content)\n"},
		{"diff --subpath etc REF " + other + " /motd --ignore mode,owner", "M  /motd  (content)\n"},
		{"diff --all-platforms REF " + other + " /linux-amd64/new", "A  /linux-amd64/new\n"},
	})
	w.fails(exitNotFound, "--layer", "diff", "--layer", "3", w.ref, other)
	w.fails(exitNotFound, "--subpath nope", "diff", "--subpath", "nope", w.ref, other)
	w.fails(exitUsage, "--all-platforms and --layer", "diff", "--layer", "3", "--all-platforms", w.ref, other)
}

// TestDiffDir compares an image with a directory it was copied to.
func TestDiffDir(t *testing.T) {
	w := newWorld(t)
	if os.Getuid() != 0 {
		t.Skip("only root can make owners and devices")
	}
	// The kernel takes no capability as short as ping's: the file lacks it then.
	w.fails(exitFailure, w.in("copy/usr/bin/ping")+": extended attribute \"security.capability\": invalid argument", "cp", "-a", w.ref, "/", w.in("copy"))
	w.looks([]looking{{"diff REF " + w.in("copy"), "M  /usr/bin/ping  (xattr security.capability)\n"}, {"diff --exit-code --ignore xattr REF ./copy", ""}})
	if err := os.WriteFile(w.in("copy/etc/motd"), []byte("other\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	w.looks([]looking{{"diff --ignore mtime,xattr REF ./copy", "M  /etc/motd  (content)\n"}, {"diff --ignore mtime,xattr REF ./copy /usr", ""}})
}

func TestConfigChanges(t *testing.T) {
	a := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	b := a
	b.Config.Env, b.Config.Labels = []string{}, map[string]string{}
	if got := configChanges(a, b); got != nil {
		t.Errorf("empty and absent are the same: %q", got)
	}
	b.Config.User, b.Config.Cmd, b.Architecture = "x", []string{"y"}, "arm64"
	if got := strings.Join(configChanges(a, b), " "); got != "User Cmd Platform" {
		t.Errorf("%q", got)
	}
}

// TestDiffDirectoryName tells how a directory is named of which only the name
// was given, as of an image.
func TestDiffDirectoryName(t *testing.T) {
	w := newWorld(t)
	const blocked = "unqualified-search-registries = [\"docker.io\"]\n[[registry]]\nlocation = \"docker.io\"\nblocked = true\n"
	if err := os.WriteFile(w.in("blocked.conf"), []byte(blocked), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(exitFailure, "for the directory of that name: ./mnt", "diff", "--registries-conf=blocked.conf", w.ref, "mnt")
}
