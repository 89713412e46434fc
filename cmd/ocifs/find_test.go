package main

import (
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// A look is a command line about the test image, with REF for it, and what it
// prints.
type looking struct{ args, want string }

// looks runs command lines that must work.
func (w *world) looks(list []looking) {
	w.t.Helper()
	for _, c := range list {
		if got := w.ok(w.words(c.args)...); got != c.want {
			w.t.Errorf("%s: got\n%s\nwant\n%s", c.args, got, c.want)
		}
	}
}

// TestFind has every test of find pass some files and no others.
func TestFind(t *testing.T) {
	w := newWorld(t)
	w.ok("layers", w.ref)
	w.looks([]looking{
		{"find REF /usr", "/usr\n/usr/bin\n/usr/bin/ping\n/usr/bin/su\n/usr/bin/sudo\n"},
		{"find REF --max-depth 0", "/\n"},
		{"find REF --max-depth=1", "/\n/dev\n/etc\n/odd\n/usr\n"},
		{"find REF etc/motd usr/bin --name p*", "/usr/bin/ping\n"},
		{"find REF --name motd --name p???", "/dev/pipe\n/etc/motd\n/usr/bin/ping\n"},
		{"find REF --name *i* --type l", "/etc/issue\n"},
		{"find REF --iname PIN[!x]", "/usr/bin/ping\n"},
		{"find REF --name pin[!g]", ""},
		{"find REF --name .*", "/etc/.hidden\n"},
		{"find REF --path /u*g", "/usr/bin/ping\n"},
		{"find REF --path *etc*", "/etc\n/etc/.hidden\n/etc/abs\n/etc/issue\n/etc/loop\n/etc/motd\n"},
		{"find REF --type c,p", "/dev/null\n/dev/pipe\n"},
		{"find REF --size 3000", "/usr/bin/su\n/usr/bin/sudo\n"},
		{"find REF --size +6", "/usr/bin/su\n/usr/bin/sudo\n"},
		{"find REF --size +2K --name su", "/usr/bin/su\n"},
		{"find REF --size -1", ""},
		{"find REF --perm 0640", "/etc/motd\n"},
		{"find REF --perm -4100", "/usr/bin/su\n/usr/bin/sudo\n"},
		{"find REF --perm /6000", "/usr/bin/su\n/usr/bin/sudo\n"},
		{"find REF --uid 5", "/etc/motd\n"},
		{"find REF --gid 70 --uid 0", ""},
		{"find REF --user 5 --group 70", "/etc/motd\n"},
		{"find REF --newer 2026-01-02T03:04:05Z --name motd", "/etc/motd\n"},
		{"find REF --newer 2026-01-02T03:04:05.6Z --name motd", ""},
		{"find REF --newer 2026-01-02 --max-depth 1 --name etc", "/etc\n"},
		{"find REF --xattr security.*", "/usr/bin/ping\n"},
		{"find REF --layer 2 --type f", "/usr/bin/ping\n/usr/bin/su\n/usr/bin/sudo\n"},
		{"find REF odd --type f", "/odd/\x1b[31mred\n/odd/new\nline\n/odd/\xff\n"},
		{"find REF odd --type f -0", "/odd/\x1b[31mred\x00/odd/new\nline\x00/odd/\xff\x00"},
		{"find REF /etc/abs", "/etc/abs\n"},
		{"find REF -l --name null", "crw-rw-rw- 1 0 0 1, 3 2026-01-02 03:04 /dev/null\n"},
		{"find REF -l --name *line", "-rw-r--r-- 1 0 0 1 2026-01-02 03:04 $'/odd/new\\nline'\n"},
		{"find REF -lh --name su", "-rwsr-xr-x 2 0 0 3.0K 2026-01-02 03:04 /usr/bin/su\n"},
	})
	var doc struct {
		Schema  string
		Entries []fileInfo
	}
	w.decode(&doc, "find", "--json", w.ref, "--uid", "5")
	if len(doc.Entries) != 1 || doc.Entries[0].Path != "/etc/motd" || doc.Entries[0].GID != 70 || doc.Schema != "ocifs.dev/find/v1" {
		t.Errorf("%+v", doc)
	}
	_, top := w.layers()
	if got := w.ok("find", w.ref, "--layer", top, "--name", "ping"); got != "/usr/bin/ping\n" {
		t.Errorf("by digest: %q", got)
	}
}

// TestFindOwner looks names up in the image's own files of accounts.
func TestFindOwner(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("layout"), lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(
		lt.File("etc/passwd", "root:x:0:0::/:\nweb:x:33:44::/:\n"), lt.File("etc/group", "root:x:0:\nstaff:x:44:\n"),
		lt.File("a", "", lt.Owner(33, 0)), lt.File("b", "", lt.Owner(0, 44)), lt.File("c", "", lt.Owner(33, 44)),
	))}})
	w.ok("layers", w.ref)
	w.looks([]looking{
		{"find REF --user web", "/a\n/c\n"},
		{"find REF --group staff", "/b\n/c\n"},
		{"find REF --user web --group staff", "/c\n"},
		{"find REF --user 33 --group root", "/a\n"},
		{"find REF --uid 33 --user root", ""},
	})
}

// TestFindWrong names what is wrong, and finds what it can.
func TestFindWrong(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args    string
		code    int
		out     string
		message string
	}{
		{"find REF /nope /usr/bin/su", exitNotFound, "/usr/bin/su\n", "ocifs: error: /nope: no such file or directory\n"},
		{"find REF --name [", exitUsage, "", "ocifs: error: find: --name \"[\": syntax error in pattern\n"},
		{"find REF --type x", exitUsage, "", "ocifs: error: find: --type is f, d, l, c, b or p, or several with commas between, not \"x\"\n"},
		{"find REF --size big", exitUsage, "", "ocifs: error: find: --size \"big\": not a size\nocifs: hint: as in 0, +10M or -4K\n"},
		{"find REF --perm 9", exitUsage, "", "ocifs: error: find: --perm \"9\": not an octal mode\nocifs: hint: as in 0644, -4000 or /6000\n"},
		{"find REF --uid root", exitUsage, "", "ocifs: error: find: --uid: \"root\" is not a number\nocifs: hint: --user takes a name, too\n"},
		{"find REF --user root", exitNotFound, "", "ocifs: error: find: --user: user \"root\": no such user in the image's /etc/passwd\nocifs: hint: --uid and --gid take any number\n"},
		{"find REF --group=", exitNotFound, "", "ocifs: error: find: --group: group \"\": no such user\nocifs: hint: --uid and --gid take any number\n"},
		{"find REF --newer yesterday", exitUsage, "", "ocifs: error: find: --newer \"yesterday\": not a time\nocifs: hint: as in 2026-01-31 or 2026-01-31T12:00:00Z\n"},
		{"find REF --layer 3", exitNotFound, "", "ocifs: error: --layer \"3\": the image has layers 1 to 2\nocifs: hint: ocifs layers lists them\n"},
		{"find REF --max-depth=-1", exitUsage, "", "ocifs: error: find: --max-depth is at least 0, not -1\n"},
		{"find REF -0 -l", exitUsage, "", "ocifs: error: find: --print0 excludes --json and --long\n"},
		{"du REF -s -d 1", exitUsage, "", "ocifs: error: du: --summarize, --by-layer, and --all or --max-depth exclude one another\n"},
		{"du REF -d -1", exitUsage, "", "ocifs: error: du: --max-depth is at least 0, not -1\n"},
		{"du REF nope /etc -s", exitNotFound, "7\t/etc\n", "ocifs: error: /nope: no such file or directory\n"},
	} {
		if got := w.run(w.words(c.args)...); got != (result{c.code, c.out, c.message}) {
			t.Errorf("%s: got %+v", c.args, got)
		}
	}
}

// TestDu counts files with several names once, and nothing that is hidden.
func TestDu(t *testing.T) {
	w := newWorld(t)
	w.ok("layers", w.ref)
	base, top := w.layers()
	w.looks([]looking{
		{"du REF", "0\t/dev\n7\t/etc\n7\t/odd\n3001\t/usr/bin\n3001\t/usr\n3015\t/\n"},
		{"du REF -d 1 -h", "0\t/dev\n7\t/etc\n7\t/odd\n3.0K\t/usr\n3.0K\t/\n"},
		{"du REF -s", "3015\t/\n"},
		{"du REF -s /etc/motd usr/", "6\t/etc/motd\n3001\t/usr\n"},
		{"du REF -a /usr/bin", "1\t/usr/bin/ping\n3000\t/usr/bin/su\n3001\t/usr/bin\n"},
		{"du REF -a odd", "1\t$'/odd/\\x1b[31mred'\n1\t$'/odd/new\\nline'\n5\t$'/odd/\\xff'\n7\t/odd\n"},
		{"du REF --by-layer", "#  DIGEST               SIZE  FILES  CREATED BY\n" +
			"1  " + base + "  14    5      ADD base /\n2  " + top + "  3001  2      RUN install ping\n"},
		{"du REF --by-layer -h /usr", "#  DIGEST               SIZE  FILES  CREATED BY\n" +
			"1  " + base + "  0     0      ADD base /\n2  " + top + "  3.0K  2      RUN install ping\n"},
	})
	var doc struct {
		Schema  string
		Entries []duInfo
	}
	w.decode(&doc, "du", "--json", "-d0", w.ref)
	if len(doc.Entries) != 1 || doc.Entries[0] != (duInfo{Path: "/", Bytes: 3015, Files: 7}) || doc.Schema != "ocifs.dev/du/v1" {
		t.Errorf("%+v", doc)
	}
	var shares struct{ Layers []layerShare }
	w.decode(&shares, "du", "--json", "--by-layer", w.ref)
	if l := shares.Layers; len(l) != 2 || l[1].Bytes != 3001 || l[1].Files != 2 || l[1].CreatedBy != "RUN install ping" {
		t.Errorf("%+v", shares)
	}
}
