package fs_test

import (
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
)

// forest is a source with some of everything.
func forest(t testing.TB) *fake {
	return source(t, func(f *fake) {
		for i := range 20 {
			for j := range 20 {
				f.file(fmt.Sprintf("d%d/e%d/f", i, j), fmt.Sprint(i, j))
				f.symlink(fmt.Sprintf("d%d/e%d/l", i, j), "f")
			}
		}
	})
}

// delta runs f and returns what it made the kernel ask.
func (m *mounted) delta(f func()) map[string]uint64 {
	before := m.Stats().Requests
	f()
	after := maps.Clone(m.Stats().Requests)
	for name, n := range before {
		if after[name] -= n; after[name] == 0 {
			delete(after, name)
		}
	}
	return after
}

// wanting says which requests something should have made.
type wanting func(what string, got, want map[string]uint64)

// counting runs count, which reports requests that it didn't expect, until it
// reports none. The kernel may drop what it keeps of a mount at any time, when
// memory is short or somebody asks it to, and then asks again: but not every
// time.
func counting(t *testing.T, count func(want wanting)) {
	t.Helper()
	const tries = 5
	for try := range tries {
		var wrong []string
		count(func(what string, got, want map[string]uint64) {
			if !maps.Equal(got, want) {
				wrong = append(wrong, fmt.Sprintf("%s: requests %v, want %v", what, got, want))
			}
		})
		switch {
		case len(wrong) == 0:
			return
		case try == tries-1:
			t.Errorf("%q", wrong)
		default:
			t.Logf("again, for the kernel seems to have forgotten things: %q", wrong)
		}
	}
}

// foreign leaves out statfs, which the kernel keeps no answer to and find(1)
// asks for once.
func foreign(requests map[string]uint64) map[string]uint64 {
	delete(requests, "statfs")
	return requests
}

var none = map[string]uint64{}

func walk(t testing.TB, root string, visit func(path string, d iofs.DirEntry)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d iofs.DirEntry, err error) error {
		if err == nil && visit != nil {
			visit(path, d)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRequests holds the mount to its promise: what was looked at once is not
// asked for again.
func TestRequests(t *testing.T) { counting(t, func(want wanting) { countRequests(t, want) }) }

func countRequests(t *testing.T, want wanting) {
	m := mount(t, forest(t), fs.Options{})
	stat := func(path string, d iofs.DirEntry) {
		if _, err := d.Info(); err != nil {
			t.Error(err)
		}
	}
	content := func(path string, d iofs.DirEntry) {
		if d.Type().IsRegular() {
			if _, err := os.ReadFile(path); err != nil {
				t.Error(err)
			}
		}
	}
	links := func(path string, d iofs.DirEntry) {
		if d.Type()&iofs.ModeSymlink != 0 {
			if _, err := os.Readlink(path); err != nil {
				t.Error(err)
			}
		}
	}
	all := func(visit func(string, iofs.DirEntry)) func() { return func() { walk(t, m.dir, visit) } }

	cold := m.delta(all(nil))
	if cold["readdirplus"] == 0 || cold["lookup"] != 0 || cold["readdir"] != 0 || cold["opendir"] != 1 {
		t.Errorf("first walk: requests %v", cold)
	}
	want("second walk", m.delta(all(nil)), none)
	want("stat after readdirplus", m.delta(all(stat)), none)
	want("find", foreign(m.delta(func() { shell(t, `find "$1" | wc -l`, m.dir) })), none)

	want("first contents", m.delta(all(content)), map[string]uint64{"open": 1, "read": 400, "other": 1})
	want("second contents", m.delta(all(content)), none)
	want("cat", foreign(m.delta(func() { shell(t, `find "$1" -type f | xargs cat >/dev/null`, m.dir) })), none)

	want("first links", m.delta(all(links)), map[string]uint64{"readlink": 400})
	want("second links", m.delta(all(links)), none)

	absent := func() { os.Lstat(m.path("d1/absent")) }
	want("first look for what isn't there", m.delta(absent), map[string]uint64{"lookup": 1})
	want("second look", m.delta(absent), none)

	ls := func() { shell(t, `ls -lR "$1" >/dev/null`, m.dir) }
	ls() // its first question for attributes is declined once and for all
	want("ls -lR", m.delta(ls), none)
}

// TestRequestsCold counts what a path costs that nobody has looked at.
func TestRequestsCold(t *testing.T) { counting(t, func(want wanting) { countRequestsCold(t, want) }) }

func countRequestsCold(t *testing.T, want wanting) {
	m := mount(t, forest(t), fs.Options{})
	read := func() {
		if _, err := os.ReadFile(m.path("d3/e4/f")); err != nil {
			t.Error(err)
		}
	}
	want("one file", m.delta(read), map[string]uint64{"lookup": 3, "open": 1, "read": 1, "other": 1})
	want("again", m.delta(read), none)
	if s := m.Stats(); s.ReadBytes != 3 || s.FailedReads != 0 {
		t.Errorf("read %d bytes with %d failures, want 3 and 0", s.ReadBytes, s.FailedReads)
	}
}

// TestReadAhead has a sequential reader of a large file ask in large pieces.
func TestReadAhead(t *testing.T) {
	const size = 32 << 20
	content := noise(size)
	m := mount(t, source(t, func(f *fake) { f.file("f", content) }), fs.Options{})
	var st unix.Stat_t
	if err := unix.Lstat(m.dir, &st); err != nil {
		t.Fatal(err)
	}
	set := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev))
	if kb, err := os.ReadFile(set); err != nil || string(kb) != "1024\n" {
		t.Errorf("%s: %q, %v; want 1024", set, kb, err)
	}
	got := m.delta(func() {
		if b, err := os.ReadFile(m.path("f")); err != nil || string(b) != content {
			t.Errorf("%d bytes, %v, or other bytes", len(b), err)
		}
	})
	if got["read"] > 2*size>>20 {
		t.Errorf("%d reads of a file of %d MiB", got["read"], size>>20)
	}
}
