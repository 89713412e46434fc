package layertest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"sort"
	"testing"

	"golang.org/x/sys/unix"
)

// Ignore names what a comparison leaves out.
type Ignore int

// What can be left out.
const (
	RootAttrs Ignore = iota // all of the root directory but that it is one
	DirTimes                // modification times of directories
	LinkModes               // permission bits of symbolic links
)

// maxReports bounds how many differences one comparison reports.
const maxReports = 50

// Compare reports, as test errors, every difference between two real directory
// trees: names, types, permissions, owners, times, sizes, link targets, hard
// links, device numbers, extended attributes, contents.
func Compare(t testing.TB, want, got string, ignore ...Ignore) {
	t.Helper()
	diff := Diff(Walk(t, want), Walk(t, got), ignore...)
	for i, d := range diff {
		if i == maxReports {
			t.Errorf("and %d more differences", len(diff)-i)
			break
		}
		t.Error(d)
	}
}

// Diff returns the differences between two walks, a line for each, sorted by
// path.
func Diff(want, got map[string]Stat, ignore ...Ignore) []string {
	var lines []string
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			lines = append(lines, fmt.Sprintf("%q: missing", name))
			continue
		}
		for _, d := range diff(mask(name, w, ignore), mask(name, g, ignore)) {
			lines = append(lines, fmt.Sprintf("%q: %s", name, d))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			lines = append(lines, fmt.Sprintf("%q: should not be there", name))
		}
	}
	sort.Strings(lines)
	return lines
}

// mask clears what is to be ignored.
func mask(name string, s Stat, ignore []Ignore) Stat {
	kind := s.Mode & unix.S_IFMT
	for _, what := range ignore {
		switch {
		case what == RootAttrs && name == ".":
			return Stat{Mode: kind}
		case what == DirTimes && kind == unix.S_IFDIR:
			s.Sec, s.Nsec = 0, 0
		case what == LinkModes && kind == unix.S_IFLNK:
			s.Mode = kind
		}
	}
	return s
}

func diff(want, got Stat) []string {
	var lines []string
	check := func(what string, w, g any) {
		if w != g {
			lines = append(lines, fmt.Sprintf("%s is %v, want %v", what, g, w))
		}
	}
	octal := func(m uint32) string { return fmt.Sprintf("%#o", m) }
	quote := func(s string) string { return fmt.Sprintf("%q", s) }
	check("mode", octal(want.Mode), octal(got.Mode))
	check("owner", [2]uint32{want.UID, want.GID}, [2]uint32{got.UID, got.GID})
	check("device", [2]uint32{want.Major, want.Minor}, [2]uint32{got.Major, got.Minor})
	check("mtime", [2]int64{want.Sec, want.Nsec}, [2]int64{got.Sec, got.Nsec})
	check("size", want.Size, got.Size)
	check("nlink", want.Nlink, got.Nlink)
	check("link target", quote(want.Link), quote(got.Link))
	check("names", quote(want.Names), quote(got.Names))
	check("content", want.Sum, got.Sum)
	if !maps.Equal(want.Xattrs, got.Xattrs) {
		lines = append(lines, fmt.Sprintf("xattrs are %q, want %q", got.Xattrs, want.Xattrs))
	}
	return lines
}

// Unpack has umoci unpack the image tagged tag, in the OCI layout at layout,
// into dir. It skips the test, saying why, where that cannot be done: umoci is
// not on PATH, or owners and devices cannot be made.
//
// umoci before 0.6 reads no zstd layers, and none at all reads Docker's media
// types, indexes below the layout's own, GNU sparse files or global headers.
func Unpack(t testing.TB, layout, tag, dir string) {
	t.Helper()
	umoci, err := exec.LookPath("umoci")
	if err != nil {
		t.Skip("no oracle: umoci is not on PATH")
	}
	if os.Getuid() != 0 {
		t.Skip("no oracle: only root can make owners and devices")
	}
	cmd := exec.Command(umoci, "raw", "unpack", "--image", layout+":"+tag, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("umoci: %v\n%s", err, out)
	}
}
