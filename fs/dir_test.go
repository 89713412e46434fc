package fs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/index"
)

// A dirent is one entry as getdents64(2) gives it.
type dirent struct {
	ino  uint64
	off  int64
	typ  byte
	name string
}

// readDirents reads fd from its offset on, n entries if n > 0, else all.
func readDirents(t testing.TB, fd, n int) []dirent {
	t.Helper()
	var list []dirent
	buf := make([]byte, 2048) // small, so that one directory takes many calls
	for {
		got, err := unix.Getdents(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if got == 0 {
			return list
		}
		for b := buf[:got]; len(b) > 0; {
			// struct linux_dirent64: ino, off, reclen, type, name
			length := binary.NativeEndian.Uint16(b[16:])
			name, _, _ := bytes.Cut(b[19:length], []byte{0})
			list = append(list, dirent{
				binary.NativeEndian.Uint64(b), int64(binary.NativeEndian.Uint64(b[8:])), b[18], string(name),
			})
			b = b[length:]
			if len(list) == n {
				return list
			}
		}
	}
}

func openDir(t testing.TB, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestReaddir(t *testing.T) {
	odd := "\x01\n\xff ünï\\"
	long := strings.Repeat("n", 255)
	src := source(t, func(f *fake) {
		f.dir("d")
		f.dir("d/dir")
		f.file("d/file", "x")
		f.hardlink("d/hard", "d/file")
		f.symlink("d/link", "x")
		f.node("d/fifo", index.ModeFIFO|0o644)
		f.node("d/char", index.ModeChar|0o644, device(1, 3))
		f.node("d/block", index.ModeBlock|0o644, device(7, 0))
		f.file("d/"+odd, "x")
		f.file("d/"+long, "x")
		f.dir("empty")
	})
	m := mount(t, src, fs.Options{})
	want := []struct {
		name string
		typ  byte
	}{
		{".", unix.DT_DIR}, {"..", unix.DT_DIR},
		{odd, unix.DT_REG}, {"block", unix.DT_BLK}, {"char", unix.DT_CHR}, {"dir", unix.DT_DIR},
		{"fifo", unix.DT_FIFO}, {"file", unix.DT_REG}, {"hard", unix.DT_REG}, {"link", unix.DT_LNK}, {long, unix.DT_REG},
	}
	for _, when := range []string{"cold", "cached"} {
		got := readDirents(t, openDir(t, m.path("d")), 0)
		if len(got) != len(want) {
			t.Fatalf("%s: %d entries, want %d", when, len(got), len(want))
		}
		for i, e := range got {
			if e.name != want[i].name || e.typ != want[i].typ || e.off != int64(i)+1 {
				t.Errorf("%s: entry %d: %q type %d off %d, want %q type %d", when, i, e.name, e.typ, e.off, want[i].name, want[i].typ)
			}
			if st := lstat(t, m.path("d/"+e.name)); e.name != ".." && st.Ino != e.ino {
				t.Errorf("%s: %q: inode %d in the directory, %d by itself", when, e.name, e.ino, st.Ino)
			}
		}
	}
	if got := readDirents(t, openDir(t, m.path("empty")), 0); len(got) != 2 {
		t.Errorf("an empty directory has %d entries", len(got))
	}
	if dotdot := readDirents(t, openDir(t, m.dir), 2)[1]; dotdot.name != ".." || dotdot.ino != 1 {
		t.Errorf("root: .. is %+v", dotdot)
	}
}

// large is a source with one directory of n files.
func large(t testing.TB, n int) *fake {
	return source(t, func(f *fake) {
		f.dir("bd")
		for i := range n {
			f.file(fmt.Sprintf("bd/%06d", i), "")
		}
	})
}

// TestSeekdir reads a directory of 20,000 entries from every one of many
// offsets, on a fresh mount (by requests) and on the same one (from the
// kernel's cache).
func TestSeekdir(t *testing.T) {
	const n = 20000
	m := mount(t, large(t, n), fs.Options{})
	fd := openDir(t, m.path("bd"))
	for i := 19990; i > 0; i -= 1234 { // backwards, before it was ever read
		if _, err := unix.Seek(fd, int64(i)+2, unix.SEEK_SET); err != nil {
			t.Fatal(err)
		}
		if e := readDirents(t, fd, 1)[0]; e.name != fmt.Sprintf("%06d", i) {
			t.Errorf("offset %d: %q", i+2, e.name)
		}
	}
	unix.Seek(fd, 0, unix.SEEK_SET)
	all := readDirents(t, fd, 0)
	if len(all) != n+2 {
		t.Fatalf("%d entries, want %d", len(all), n+2)
	}
	if !slices.IsSortedFunc(all, func(a, b dirent) int { return strings.Compare(a.name, b.name) }) {
		t.Error("entries are not in order, or come twice")
	}
	for i := 0; i < n; i += 777 {
		unix.Seek(fd, all[i].off, unix.SEEK_SET)
		if e := readDirents(t, fd, 1)[0]; e != all[i+1] {
			t.Errorf("after %q: %+v, want %+v", all[i].name, e, all[i+1])
		}
	}
	unix.Seek(fd, n+2, unix.SEEK_SET)
	if rest := readDirents(t, fd, 0); len(rest) != 0 {
		t.Errorf("%d entries behind the last", len(rest))
	}
}

func TestLookup(t *testing.T) {
	long := strings.Repeat("n", 255)
	src := source(t, func(f *fake) {
		f.file("d/file", "x")
		f.file("d/"+long, "x")
	})
	m := mount(t, src, fs.Options{})
	for _, c := range []struct {
		name string
		want error
	}{
		{"d/file", nil},
		{"d/" + long, nil},
		{"d/absent", unix.ENOENT},
		{"d/File", unix.ENOENT},
		{"d/file/x", unix.ENOTDIR},
		{"absent/x", unix.ENOENT},
		{"d/" + strings.Repeat("x", 256), unix.ENAMETOOLONG},
		{"d/" + strings.Repeat("x", 1024), unix.ENAMETOOLONG},
		{"d/" + strings.Repeat("x", 1025), unix.ENAMETOOLONG},
	} {
		for range 2 {
			if _, err := os.Lstat(m.path(c.name)); !errors.Is(err, c.want) {
				t.Errorf("%.20s (%d): %v, want %v", c.name, len(c.name), err, c.want)
			}
		}
	}
}

// TestFileHandles opens, on a mount that has seen nothing, what another mount
// of the same tree handed out: node ids are good for ever.
func TestFileHandles(t *testing.T) {
	src := source(t, func(f *fake) {
		f.file("a/b/c", "content")
		f.symlink("a/l", "x")
	})
	m, fresh := mount(t, src, fs.Options{}), mount(t, src, fs.Options{})
	root := openDir(t, fresh.dir)
	for name, wantDir := range map[string]bool{"a/b/c": false, "a/b": true, "a/l": false} {
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, m.path(name), 0)
		if err != nil {
			t.Fatal(err)
		}
		flags := unix.O_PATH | unix.O_CLOEXEC
		if wantDir {
			flags = unix.O_RDONLY | unix.O_CLOEXEC
		}
		fd, err := unix.OpenByHandleAt(root, h, flags)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Ino != lstat(t, m.path(name)).Ino {
			t.Errorf("%s: inode %d, %v", name, st.Ino, err)
		}
		unix.Close(fd)
	}
	stale := unix.NewFileHandle(0x81, slices.Concat(binary.NativeEndian.AppendUint32(nil, 0),
		binary.NativeEndian.AppendUint32(nil, 99999), binary.NativeEndian.AppendUint32(nil, 0)))
	if fd, err := unix.OpenByHandleAt(root, stale, unix.O_PATH|unix.O_CLOEXEC); err != unix.ESTALE {
		t.Errorf("a node that is none: %d, %v", fd, err)
	}
}
