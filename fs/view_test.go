package fs

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// bare is a Source of names without contents.
type bare struct{ t *tree.Tree }

func (b bare) Tree() *tree.Tree { return b.t }

func (b bare) ReadAt(n tree.Node, p []byte, off int64) (int, error) { return len(p), nil }

// bareView is a view of a directory "d" of n files, beside a file "f".
func bareView(t testing.TB, n int) *view {
	t.Helper()
	entries := []index.Entry{{Name: "f", Mode: index.ModeRegular | 0o644, Size: 100}}
	for i := range n {
		entries = append(entries, index.Entry{Name: fmt.Sprintf("d/%06d", i), Mode: index.ModeRegular | 0o644})
	}
	merged, err := tree.Merge([]*index.TOC{index.New(entries)})
	if err != nil {
		t.Fatal(err)
	}
	return newView(bare{merged}, slog.New(slog.DiscardHandler))
}

// id looks a name in the root directory up.
func (v *view) id(t testing.TB, name string) uint64 {
	t.Helper()
	n, err := v.tree.Walk(name, false)
	if err != nil {
		t.Fatal(err)
	}
	return n.Inode()
}

// TestReadDirPlain lists without attributes, as a kernel without READDIRPLUS
// has it, through a buffer that takes few names at a time.
func TestReadDirPlain(t *testing.T) {
	v := bareView(t, 10)
	in := &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: v.id(t, "d")}}
	var names []string
	for {
		list := fuse.NewDirEntryList(make([]byte, 100), in.Offset)
		if st := v.ReadDir(nil, in, list); st != fuse.OK {
			t.Fatal(st)
		}
		entries, err := fuse.ParseDirEntries(list.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			wantMode := uint32(unix.S_IFREG)
			if e.Name == "." || e.Name == ".." {
				wantMode = unix.S_IFDIR
			}
			if e.Mode != wantMode || e.Off != uint64(len(names))+1 {
				t.Errorf("%q: mode %o, offset %d", e.Name, e.Mode, e.Off)
			}
			names = append(names, e.Name)
			in.Offset = e.Off
		}
	}
	if got, want := fmt.Sprint(names), "[. .. 000000 000001 000002 000003 000004 000005 000006 000007 000008 000009]"; got != want {
		t.Errorf("names %s, want %s", got, want)
	}
	in.Offset = 1 << 63
	list := fuse.NewDirEntryList(make([]byte, 1000), in.Offset)
	if st := v.ReadDirPlus(nil, in, list); st != fuse.OK || len(list.Bytes()) != 0 {
		t.Errorf("far behind the end: %v, %d bytes", st, len(list.Bytes()))
	}
}

// TestOpenAnswers holds OPEN and OPENDIR to what each kernel understands.
func TestOpenAnswers(t *testing.T) {
	v := bareView(t, 1)
	for _, modern := range []bool{false, true} {
		v.noOpen, v.noOpenDir = modern, modern
		for name, open := range map[string]func(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status{"open": v.Open, "opendir": v.OpenDir} {
			var out fuse.OpenOut
			st := open(nil, &fuse.OpenIn{}, &out)
			if modern && st != fuse.ENOSYS {
				t.Errorf("%s: %v, want ENOSYS", name, st)
			}
			if !modern && (st != fuse.OK || out.OpenFlags&fuse.FOPEN_KEEP_CACHE == 0 || out.Fh != 0) {
				t.Errorf("%s of an old kernel: %v, %+v", name, st, out)
			}
		}
		if st := v.Open(nil, &fuse.OpenIn{Flags: unix.O_RDWR}, &fuse.OpenOut{}); st != fuse.EROFS {
			t.Errorf("open for writing: %v", st)
		}
	}
}

// TestForeignNodes asks for nodes that the tree doesn't have, or of another
// type than the request is for. The kernel doesn't; a server for another image
// on its connection would see such.
func TestForeignNodes(t *testing.T) {
	v := bareView(t, 1)
	buf := make([]byte, 100)
	for _, id := range []uint64{0, uint64(v.tree.Len()) + 1, 1 << 32, 1<<64 - 1} {
		h := fuse.InHeader{NodeId: id}
		_, st1 := v.Read(nil, &fuse.ReadIn{InHeader: h}, buf)
		_, st2 := v.Readlink(nil, &h)
		_, st3 := v.GetXAttr(nil, &h, "user.a", buf)
		_, st4 := v.ListXAttr(nil, &h, buf)
		list := fuse.NewDirEntryList(buf, 0)
		for i, st := range []fuse.Status{
			st1, st2, st3, st4,
			v.Lookup(nil, &h, "f", &fuse.EntryOut{}), v.GetAttr(nil, &fuse.GetAttrIn{InHeader: h}, &fuse.AttrOut{}),
			v.ReadDir(nil, &fuse.ReadIn{InHeader: h}, list), v.ReadDirPlus(nil, &fuse.ReadIn{InHeader: h}, list),
			v.Lseek(nil, &fuse.LseekIn{InHeader: h}, &fuse.LseekOut{}),
		} {
			if st != errStale {
				t.Errorf("node %d, request %d: %v, want ESTALE", id, i, st)
			}
		}
	}
	file, dir := fuse.InHeader{NodeId: v.id(t, "f")}, fuse.InHeader{NodeId: v.id(t, "d")}
	if st := v.Lookup(nil, &file, "x", &fuse.EntryOut{}); st != fuse.ENOTDIR {
		t.Errorf("lookup in a file: %v", st)
	}
	if st := v.ReadDir(nil, &fuse.ReadIn{InHeader: file}, fuse.NewDirEntryList(buf, 0)); st != fuse.ENOTDIR {
		t.Errorf("list of a file: %v", st)
	}
	if r, st := v.Read(nil, &fuse.ReadIn{InHeader: dir}, buf); st != fuse.OK || r.Size() != 0 {
		t.Errorf("read of a directory: %v", st)
	}
	if r, st := v.Read(nil, &fuse.ReadIn{InHeader: file, Offset: 1 << 63}, buf); st != fuse.OK || r.Size() != 0 {
		t.Errorf("read at a negative offset: %v", st)
	}
}

func TestTopOn(t *testing.T) {
	table := Table{
		{ID: 1, Parent: 1, Mountpoint: "/"},
		{ID: 9, Parent: 7, Mountpoint: "/m"},
		{ID: 2, Parent: 1, Mountpoint: "/m"},
		{ID: 7, Parent: 2, Mountpoint: "/m"},
		{ID: 3, Parent: 1, Mountpoint: "/other"},
		{ID: 5, Parent: 9, Mountpoint: "/m/below"},
	}
	for _, c := range []struct {
		id   int
		path string
		want int
	}{{1, "/m", 9}, {2, "/m", 9}, {9, "/m", 0}, {9, "/m/below", 5}, {1, "/", 0}, {1, "/absent", 0}, {3, "/m", 0}} {
		got := 0
		if m := table.topOn(c.id, c.path); m != nil {
			got = m.ID
		}
		if got != c.want {
			t.Errorf("on mount %d at %s: %d, want %d", c.id, c.path, got, c.want)
		}
	}
	circle := []*mountinfo.Info{{ID: 1, Parent: 2, Mountpoint: "/"}, {ID: 2, Parent: 1, Mountpoint: "/"}}
	if m := (append(table[:0:0], circle...)).topOn(1, "/"); m == nil {
		t.Error("a circle has no top")
	}
}

func TestHiding(t *testing.T) {
	table := Table{
		{ID: 1, Parent: 0, Mountpoint: "/"},
		{ID: 2, Parent: 1, Mountpoint: "/a/b"},
		{ID: 3, Parent: 1, Mountpoint: "/ab"},
		{ID: 4, Parent: 1, Mountpoint: "/a"}, // hides 2, and all below it
		{ID: 5, Parent: 2, Mountpoint: "/a/b/c"},
		{ID: 6, Parent: 4, Mountpoint: "/a/b"},
		{ID: 7, Parent: 3, Mountpoint: "/ab"},
		{ID: 8, Parent: 7, Mountpoint: "/ab/c"},
	}
	for id, want := range map[int]int{1: 0, 2: 4, 3: 7, 4: 0, 5: 4, 6: 0, 7: 0, 8: 0} {
		got := 0
		if m := table.Hiding(table.byID(id)); m != nil {
			got = m.ID
		}
		if got != want {
			t.Errorf("mount %d is hidden by %d, want %d", id, got, want)
		}
	}
	for path, want := range map[string]int{"/": 1, "/a": 4, "/a/b": 6, "/a/b/c": 0, "/ab": 7, "/ab/c": 8, "/absent": 0} {
		got := 0
		if m := table.At(path); m != nil {
			got = m.ID
		}
		if got != want {
			t.Errorf("one sees mount %d at %s, want %d", got, path, want)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	v := bareView(b, 20000)
	in := &fuse.InHeader{NodeId: v.id(b, "d")}
	out := &fuse.EntryOut{}
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("%06d", i*19)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if st := v.Lookup(nil, in, names[i%len(names)], out); st != fuse.OK || out.NodeId == 0 {
			b.Fatal(st)
		}
	}
}

// BenchmarkReadDirPlus lists 20,000 entries, some 200 to a request.
func BenchmarkReadDirPlus(b *testing.B) {
	const n = 20000
	v := bareView(b, n)
	in := &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: v.id(b, "d")}}
	buf := make([]byte, 32<<10)
	list := fuse.NewDirEntryList(buf, 0)
	b.ReportAllocs()
	for b.Loop() {
		for in.Offset = 0; in.Offset < n+2; in.Offset = list.Offset {
			*list = *fuse.NewDirEntryList(buf, in.Offset)
			if st := v.ReadDirPlus(nil, in, list); st != fuse.OK {
				b.Fatal(st)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
