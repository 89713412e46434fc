package erofs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/erofs"
	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// A source is a tree whose contents are made up, as they are read.
type source struct {
	tree *tree.Tree
	fail func(n tree.Node, off int64) error // nil: nothing fails
}

func (s *source) Tree() *tree.Tree { return s.tree }

// ReadAt gives each byte of data a value of its file and place, and holes zeros.
func (s *source) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	if s.fail != nil {
		if err := s.fail(n, off); err != nil {
			return 0, err
		}
	}
	d := s.tree.Data(n)
	if d.Extents == nil {
		d.Extents = []index.Extent{{Off: 0, Len: d.Size}}
	}
	clear(p)
	for _, x := range d.Extents {
		from, to := max(off, x.Off), min(off+int64(len(p)), x.Off+x.Len)
		for from < to {
			from += int64(copy(p[from-off:to-off], pattern[(from+131*int64(n))%1021:]))
		}
	}
	return len(p), nil
}

// pattern has no zeros, and repeats itself nowhere near the length of a block.
var pattern = func() []byte {
	b := make([]byte, 1021)
	for i := range b {
		b[i] = byte(1 + (i*i+i>>3)%255)
	}
	return b
}()

type edit func(*index.Entry)

func mode(v uint32) edit       { return func(e *index.Entry) { e.Mode = e.Mode&index.ModeType | v } }
func own(uid, gid uint32) edit { return func(e *index.Entry) { e.UID, e.GID = uid, gid } }
func at(sec, nsec int64) edit  { return func(e *index.Entry) { e.ModTime = time.Unix(sec, nsec).UTC() } }
func xattr(name, value string) edit {
	return func(e *index.Entry) { e.Xattrs = append(e.Xattrs, index.Xattr{Name: name, Value: value}) }
}
func data(x ...index.Extent) edit {
	return func(e *index.Entry) { e.Data = append([]index.Extent{}, x...) }
}

func entry(name string, mode uint32, size int64, edits []edit) index.Entry {
	e := index.Entry{Name: name, Mode: mode, Size: size, ModTime: time.Unix(1_600_000_000, 123_456_789).UTC()}
	for _, f := range edits {
		f(&e)
	}
	return e
}

func dir(name string, e ...edit) index.Entry { return entry(name, index.ModeDir|0o755, 0, e) }
func file(name string, size int64, e ...edit) index.Entry {
	return entry(name, index.ModeRegular|0o644, size, e)
}
func node(name string, mode, major, minor uint32) index.Entry {
	e := entry(name, mode, 0, nil)
	e.Major, e.Minor = major, minor
	return e
}
func symlink(name, to string, edits ...edit) index.Entry {
	e := entry(name, index.ModeSymlink|0o777, 0, edits)
	e.Link = to
	return e
}
func hard(name, to string) index.Entry {
	e := file(name, 0)
	e.HardLink, e.Link = true, to
	return e
}

// merge makes a tree of one layer's entries, whose contents follow each other.
func merge(t testing.TB, entries ...index.Entry) *tree.Tree {
	t.Helper()
	off := int64(0)
	for i := range entries {
		entries[i].Off = off
		off += entries[i].Size
		if off < 0 {
			off = 0
		}
	}
	m, err := tree.Merge([]*index.TOC{index.New(entries)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// line is all there is to say of a file.
func line(path string, nid uint64, f found, link string, content []byte) string {
	s := fmt.Sprintf("/%s ino=%d mode=%#o links=%d owner=%d:%d time=%d.%09d", path, nid, f.mode, f.nlink, f.uid, f.gid, f.sec, f.nsec)
	switch f.mode & unix.S_IFMT {
	case unix.S_IFREG:
		s += fmt.Sprintf(" size=%d sum=%x", f.size, sha256.Sum256(content))
	case unix.S_IFLNK:
		s += fmt.Sprintf(" to=%q", link)
	case unix.S_IFCHR, unix.S_IFBLK:
		s += fmt.Sprintf(" device=%#x", f.rdev)
	}
	if len(f.xattrs) > 0 {
		s += fmt.Sprintf(" xattrs=%q", f.xattrs)
	}
	return s
}

// expected is what an image of a tree must say, a line for each name.
func expected(s *source, l *erofs.Layout) (lines []string) {
	for path, n := range s.tree.All(tree.Root) {
		a := s.tree.Attr(n)
		f := found{mode: a.Mode, uid: a.UID, gid: a.GID, nlink: a.Nlink, sec: a.Sec, nsec: a.Nsec, size: a.Size, xattrs: s.tree.Xattrs(n)}
		f.rdev = a.Minor&0xff | a.Major&0xfff<<8 | a.Minor&^0xff<<12
		var content []byte
		if a.Mode&unix.S_IFMT == unix.S_IFREG {
			content = make([]byte, a.Size)
			s.ReadAt(n, content, 0)
		}
		lines = append(lines, line(path, l.Inode(n), f, s.tree.Readlink(n), content))
	}
	return lines
}

// told is what an image says.
func (r *reader) told() (lines []string, err error) {
	seen := map[uint64]string{}
	var walk func(path string, nid, parent uint64, typ byte) error
	walk = func(path string, nid, parent uint64, typ byte) error {
		f, err := r.inode(nid)
		if err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		kind := f.mode & unix.S_IFMT
		if want := map[uint32]byte{unix.S_IFREG: 1, unix.S_IFDIR: 2, unix.S_IFCHR: 3, unix.S_IFBLK: 4, unix.S_IFIFO: 5, unix.S_IFLNK: 7}[kind]; typ != want {
			return fmt.Errorf("%q: a directory calls it %d, it is %d", path, typ, want)
		}
		if before, ok := seen[nid]; ok { // a hard link
			lines = append(lines, strings.Replace(before, strings.SplitN(before, " ", 2)[0], "/"+path, 1))
			return nil
		}
		var content []byte
		if kind == unix.S_IFREG || kind == unix.S_IFDIR || kind == unix.S_IFLNK {
			if content, err = r.content(f); err != nil {
				return fmt.Errorf("%q: %w", path, err)
			}
		}
		s := line(path, nid, f, string(content), content)
		lines, seen[nid] = append(lines, s), s
		if kind != unix.S_IFDIR {
			return nil
		}
		names, err := list(content)
		if err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		dots := 0
		for _, e := range names {
			switch {
			case e.text == "." && e.nid == nid || e.text == ".." && e.nid == parent:
				dots++
			case e.text == "." || e.text == "..":
				return fmt.Errorf("%q: %q is %d", path, e.text, e.nid)
			default:
				if err := walk(strings.TrimPrefix(path+"/"+e.text, "/"), e.nid, nid, e.typ); err != nil {
					return err
				}
			}
		}
		if dots != 2 {
			return fmt.Errorf("%q has no . or ..", path)
		}
		return nil
	}
	if err := walk("", r.root, r.root, 2); err != nil {
		return nil, err
	}
	if uint64(len(seen)) != r.inodes {
		return nil, fmt.Errorf("%d inodes, the superblock says %d", len(seen), r.inodes)
	}
	return lines, nil
}

// compare has a tree written, and read again.
func compare(t *tree.Tree) error {
	s := &source{tree: t}
	l, err := erofs.NewLayout(t)
	if err != nil {
		return err
	}
	var one, two bytes.Buffer
	n, err := l.WriteTo(&one)
	if err != nil || n != l.Size() || n != int64(one.Len()) {
		return fmt.Errorf("WriteTo says %d, %v; %d bytes, want %d", n, err, one.Len(), l.Size())
	}
	if again, err := erofs.NewLayout(t); err != nil {
		return err
	} else if again.WriteTo(&two); !bytes.Equal(one.Bytes(), two.Bytes()) {
		return errors.New("two images of one tree differ")
	}
	d := erofs.NewDevice(l, s)
	r, err := openImage(one.Bytes(), d, d.Size())
	if err != nil {
		return err
	}
	got, err := r.told()
	if err != nil {
		return err
	}
	want := expected(s, l)
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return fmt.Errorf("%d lines, want %d, and line %d is\n%.999s\nwant\n%.999s", len(got), len(want), i, slices.Concat(got, []string{"nothing"})[min(i, len(got))], slices.Concat(want, []string{"nothing"})[min(i, len(want))])
		}
	}
	return nil
}

// many are files in a directory, with names of so many bytes.
func many(dir string, n, length int) (list []index.Entry) {
	for i := range n {
		name := fmt.Sprintf("%06d", i)
		list = append(list, file(dir+"/"+name+strings.Repeat("x", length-len(name)), int64(i%3)))
	}
	return list
}

const acl = "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x01\x00\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"

// TestImage writes trees with everything that lies in a place of its own.
func TestImage(t *testing.T) {
	long := strings.Repeat("l", 255)
	for what, entries := range map[string][]index.Entry{
		"nothing":     {},
		"root":        {dir("", mode(0o1777), own(1, 2), at(-5, 7), xattr("user.a", "b"))},
		"types":       {file("f", 3), dir("d"), symlink("l", "f"), node("c", index.ModeChar|0o600, 4095, 1048575), node("b", index.ModeBlock|0o600, 8, 300), node("p", index.ModeFIFO|0o600, 0, 0)},
		"attributes":  {file("f", 0, mode(0o7777), own(math.MaxUint32-1, 70000), at(-1, 999999999)), file("g", 0, at(1<<40, 0))},
		"dots":        {file(" ", 1), file("-", 1), file(".-", 1), file(".\x01", 1), file("..\x01", 1), file(".a", 1), file("..a", 1), file("...", 1), file("0", 1), file("\xff", 1), file("é", 1)},
		"hard links":  {file("a/f", 5), hard("b", "a/f"), hard("a/g", "b"), symlink("s", "x"), hard("t", "s")},
		"xattrs":      {file("f", 9, xattr("user.x", "1")), file("g", 9, xattr("user."+strings.Repeat("n", 250), strings.Repeat("v", 9999))), dir("d", xattr("security.capability", "\x01\x00\x00\x02"), xattr("user.e", "")), symlink("l", "f", xattr("security.selinux", "u:r:t\x00"))},
		"large xattr": {file("f", 1, xattr("user.x", strings.Repeat("v", 65535))), symlink("l", "t", xattr("security.x", strings.Repeat("v", 4000)))},
		"ACLs":        {file("f", 1, xattr("system.posix_acl_access", acl)), dir("d", xattr("system.posix_acl_access", acl), xattr("system.posix_acl_default", acl))},
		"links":       {symlink("a", "x"), symlink("b", strings.Repeat("y", 4032)), symlink("c", strings.Repeat("z", 4033)), symlink("d", strings.Repeat("w", 4095)), symlink("e", "x")},
		"sizes":       {file("a", 4095), file("b", 4096), file("c", 4097), file("d", 0), file("e", 1), file("f", 300_001)},
		"sparse": {
			file("hole", 1<<20, data()), file("end", 1<<20+5, data(index.Extent{Off: 1 << 20, Len: 5})), file("empty", 0, data()),
			file("two", 40_000, data(index.Extent{Off: 4095, Len: 2}, index.Extent{Off: 30_000, Len: 0}, index.Extent{Off: 39_999, Len: 1})),
			file("map", 20<<20, xattr("user.x", "1"), data(index.Extent{Off: 5 << 20, Len: 4096})), file("after", 10),
		},
		"names":                  {file(long, 1), dir("d/" + long), file("d/"+long+"/"+long, 1)},
		"a block of names":       many("d", 63, 53),  // 63 × (12+53) = 4095 bytes without the dots
		"just one block":         many("d", 67, 48),  // 12+1 + 12+2 + 67×60 = 4047, which isn't inline
		"what fits inline":       many("d", 66, 48),  // 3987
		"two blocks":             many("d", 100, 48), // the second one is inline
		"whole blocks":           many("d", 30, 255), // 15 names and no more to a block
		"many blocks":            many("d", 3000, 255),
		"a directory in between": slices.Concat(many("a", 100, 48), []index.Entry{dir("b"), symlink("c", strings.Repeat("z", 4090))}, many("d", 500, 20)),
	} {
		t.Run(what, func(t *testing.T) {
			if err := compare(merge(t, entries...)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnfit has trees that EROFS can't show, and others that it just can.
func TestUnfit(t *testing.T) {
	const tib = 1 << 40
	for what, c := range map[string]struct {
		fits    bool
		entries []index.Entry
	}{
		"a value of 64 KiB":         {false, []index.Entry{file("f", 0, xattr("user.x", strings.Repeat("v", 65536)))}},
		"values of 256 KiB":         {false, []index.Entry{file("f", 0, xattr("user.a", strings.Repeat("v", 65535)), xattr("user.b", strings.Repeat("v", 65535)), xattr("user.c", strings.Repeat("v", 65535)), xattr("user.d", strings.Repeat("v", 65535)), xattr("user.e", "v"))}},
		"values of nearly that":     {true, []index.Entry{file("f", 0, xattr("user.a", strings.Repeat("v", 65535)), xattr("user.b", strings.Repeat("v", 65535)), xattr("user.c", strings.Repeat("v", 65535)))}},
		"a long name":               {false, []index.Entry{file("f", 0, xattr("user."+strings.Repeat("n", 256), "v"))}},
		"a namespace without names": {false, []index.Entry{file("f", 0, xattr("user.", "v"), xattr("user.x", "v"))}},
		"a list of no version":      {false, []index.Entry{file("f", 0, xattr("system.posix_acl_access", "\x01"+acl[1:]))}},
		"a list that is cut":        {false, []index.Entry{file("f", 0, xattr("system.posix_acl_access", acl[:len(acl)-1]))}},
		"an empty list":             {false, []index.Entry{file("f", 0, xattr("system.posix_acl_access", acl[:4]))}},
		"a list of odd ids":         {false, []index.Entry{file("f", 0, xattr("system.posix_acl_access", acl[:len(acl)-1]+"\x00"))}},
		"15 TiB":                    {true, []index.Entry{file("f", 15*tib)}},
		"16 TiB":                    {false, []index.Entry{file("f", 16*tib)}},
		"more in two files":         {false, []index.Entry{file("f", 10*tib), file("g", 10*tib)}},
		"the largest file":          {false, []index.Entry{file("f", math.MaxInt64)}},
		"the largest hole":          {false, []index.Entry{file("f", math.MaxInt64, data())}},
		"15 TiB of a hole":          {true, []index.Entry{file("f", 15*tib, data())}},
	} {
		t.Run(what, func(t *testing.T) {
			l, err := erofs.NewLayout(merge(t, c.entries...))
			if c.fits != (err == nil) || err != nil && !errors.Is(err, erofs.ErrUnfit) {
				t.Fatalf("%v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "\x00") || !strings.Contains(err.Error(), `"f"`) && !strings.Contains(err.Error(), "TiB")) {
				t.Errorf("it says %q", err)
			}
			if err == nil && l.Size() > 1<<20 {
				t.Errorf("an image of %d bytes", l.Size())
			}
		})
	}
}

// TestInode has the numbers that everybody is told: the root's is 1, and no two
// files have the same.
func TestInode(t *testing.T) {
	m := merge(t, slices.Concat(many("a", 300, 30), []index.Entry{symlink("l", "a")})...)
	l, err := erofs.NewLayout(m)
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for i := range m.Len() {
		n := l.Inode(tree.Node(i))
		if n <= last || i == 0 && n != 1 {
			t.Fatalf("node %d has number %d, after %d", i, n, last)
		}
		last = n
	}
}
