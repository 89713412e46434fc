package ztoc_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ocifs.dev/ocifs/index/internal/ztoc"
)

// sample has a file of each type, each field with its default and without.
func sample() []ztoc.File {
	const billion = "2001-09-09T01:46:40Z"
	return []ztoc.File{
		{Name: "./", Type: ztoc.Dir, Off: 512, Mode: 0o755, ModTime: billion},
		{Name: "./usr/bin/tool", Type: ztoc.Regular, Off: 2048, Size: 70000, Mode: 0o4755, UID: 1, GID: 2,
			Uname: "user", Gname: "group", ModTime: "2001-09-09T01:46:40.123456789Z", PAX: []ztoc.Record{
				{Key: "SCHILY.xattr.security.capability", Value: "\x01\x00\x00\x02"},
				{Key: "SCHILY.xattr.user.a", Value: "1"},
				{Key: "mtime", Value: "1000000000.123456789"}}},
		{Name: "same", Type: ztoc.HardLink, Off: 73216, Link: "./usr/bin/tool", Mode: 0o4755, UID: 1, GID: 2,
			Uname: "user", Gname: "group", ModTime: billion},
		{Name: "link", Type: ztoc.Symlink, Off: 73728, Link: "usr/bin/tool", Mode: 0o777, ModTime: "1969-12-31T23:59:59Z"},
		{Name: "dev/sda1", Type: ztoc.Block, Off: 74240, Mode: 0o660, GID: 6, Devmajor: 8, Devminor: 1, ModTime: billion},
		{Name: "dev/zero", Type: ztoc.Char, Off: 74752, Devmajor: 1, Devminor: 5, ModTime: billion},
		{Name: "\xff", Type: ztoc.FIFO, Off: 75264, UID: 4294967295},
		{Name: "empty", Type: ztoc.Regular, Off: 75776, Mode: 0o644, ModTime: billion},
	}
}

func header(a ztoc.Algorithm, spans int, checkpoints string) *ztoc.Header {
	h := &ztoc.Header{Version: ztoc.Version, Tool: "a tool", CompressedSize: 54321, UncompressedSize: 76800,
		Algorithm: a, Checkpoints: []byte(checkpoints)}
	for i := range spans {
		h.Digests = append(h.Digests, sha256.Sum256(fmt.Append(nil, "span ", i)))
	}
	return h
}

func marshal(t testing.TB, h *ztoc.Header, files []ztoc.File) []byte {
	t.Helper()
	b, err := ztoc.Marshal(h, files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden holds what Marshal makes against what soci-snapshotter 0.15 makes
// of the same values, with Google's builder.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		h      *ztoc.Header
		length int
		digest string
	}{
		{header(ztoc.Gzip, 3, "checkpoints"), 1976, "2436ddd44e371f0d5de899c1b86f9ebc0a0c26c34d50d6726ae27f7753c1e0ed"},
		{header(ztoc.Uncompressed, 1, "the grid"), 1808, "06121d694d06a3cfcc36fb3606afbe47d5d163e18469b62d9461cf5460640c0b"},
	} {
		b := marshal(t, c.h, sample())
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); len(b) != c.length || got != c.digest {
			t.Errorf("algorithm %d: %d bytes of sha256 %s, want %d of %s", c.h.Algorithm, len(b), got, c.length, c.digest)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, files := range [][]ztoc.File{sample(), sample()[3:4], nil, make([]ztoc.File, 1000)} {
		for _, h := range []*ztoc.Header{header(ztoc.Gzip, 3, "checkpoints"), header(ztoc.Uncompressed, 1, "x"), {Algorithm: ztoc.Gzip, Checkpoints: []byte{}, Digests: [][32]byte{}}} {
			z, err := ztoc.Parse(marshal(t, h, files))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(&z.Header, h) {
				t.Errorf("got  %+v\nwant %+v", z.Header, *h)
			}
			if z.NumFiles() != len(files) {
				t.Fatalf("%d files, want %d", z.NumFiles(), len(files))
			}
			for i := range files {
				if got := z.File(i); !reflect.DeepEqual(got, files[i]) || z.Off(i) != got.Off {
					t.Errorf("got  %+v\nwant %+v", got, files[i])
				}
			}
		}
	}
}

// A walker reads a buffer as the FlatBuffers specification says, without any
// of the package's code, and checks alignment, which the package's reader
// doesn't.
type walker struct {
	t *testing.T
	b []byte
}

func (w walker) u32(i int) int { return int(binary.LittleEndian.Uint32(w.b[i:])) }

// ref is what the reference at i leads to.
func (w walker) ref(i int) int {
	if i%4 != 0 || (i+w.u32(i))%4 != 0 {
		w.t.Errorf("the reference at %d is not aligned", i)
	}
	return i + w.u32(i)
}

// field is where field n of the table at pos is, 0 if it isn't there.
func (w walker) field(pos, n int) int {
	vtable := pos - int(int32(w.u32(pos)))
	if size := int(binary.LittleEndian.Uint16(w.b[vtable:])); 4+2*n >= size {
		return 0
	}
	if off := int(binary.LittleEndian.Uint16(w.b[vtable+4+2*n:])); off > 0 {
		return pos + off
	}
	return 0
}

func (w walker) string(pos, n int) string {
	at := w.ref(w.field(pos, n))
	size := w.u32(at)
	if w.b[at+4+size] != 0 {
		w.t.Errorf("the string at %d doesn't end in a NUL", at)
	}
	return string(w.b[at+4 : at+4+size])
}

func (w walker) int64(pos, n int) int64 {
	at := w.field(pos, n)
	if at == 0 {
		return 0
	}
	if at%8 != 0 {
		w.t.Errorf("the number at %d is not aligned", at)
	}
	return int64(binary.LittleEndian.Uint64(w.b[at:]))
}

func TestWalk(t *testing.T) {
	h, files := header(ztoc.Uncompressed, 2, "the grid"), sample()
	w := walker{t, marshal(t, h, files)}
	root := w.ref(0)
	if w.string(root, 0) != "0.9" || w.string(root, 1) != "a tool" || w.int64(root, 2) != 54321 || w.int64(root, 3) != 76800 {
		t.Error("the root is wrong")
	}
	list := w.ref(w.field(w.ref(w.field(root, 4)), 0))
	if w.u32(list) != len(files) {
		t.Fatalf("%d files", w.u32(list))
	}
	for i, f := range files {
		pos := w.ref(list + 4 + 4*i)
		got := []any{w.string(pos, 0), w.string(pos, 1), w.int64(pos, 2), w.int64(pos, 3), w.string(pos, 4), w.int64(pos, 5),
			w.string(pos, 8), w.string(pos, 9), w.string(pos, 10), w.int64(pos, 11), w.int64(pos, 12)}
		want := []any{f.Name, f.Type, f.Off, f.Size, f.Link, f.Mode, f.Uname, f.Gname, f.ModTime, f.Devmajor, f.Devminor}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("file %d: %v, want %v", i, got, want)
		}
		pax := w.ref(w.field(pos, 13))
		if w.u32(pax) != len(f.PAX) {
			t.Fatalf("file %d: %d records", i, w.u32(pax))
		}
		for j, r := range f.PAX {
			if at := w.ref(pax + 4 + 4*j); w.string(at, 0) != r.Key || w.string(at, 1) != r.Value {
				t.Errorf("file %d: record %d", i, j)
			}
		}
	}
	info := w.ref(w.field(root, 5))
	if w.b[w.field(info, 0)] != 2 || w.u32(w.field(info, 1)) != 1 {
		t.Error("the algorithm or the number of spans is wrong")
	}
	if at := w.ref(w.field(info, 3)); string(w.b[at+4:at+4+w.u32(at)]) != "the grid" {
		t.Error("the checkpoints are wrong")
	}
	digests := w.ref(w.field(info, 2))
	for i, d := range h.Digests {
		at := w.ref(digests + 4 + 4*i)
		if got := string(w.b[at+4 : at+4+w.u32(at)]); got != "sha256:"+hex.EncodeToString(d[:]) {
			t.Errorf("digest %d: %s", i, got)
		}
	}
}

// TestHostile cuts a zTOC at each place and changes each byte to several
// others: there is an error, or all can be read.
func TestHostile(t *testing.T) {
	good := marshal(t, header(ztoc.Gzip, 3, "checkpoints"), sample())
	for i := range good {
		if _, err := ztoc.Parse(good[:i]); err == nil && i < len(good)-64 {
			t.Errorf("cut at %d: no error", i)
		} else if err != nil && !errors.Is(err, ztoc.ErrInvalid) {
			t.Error(err)
		}
		for _, v := range []byte{0, 1, 4, 0x7f, 0x80, 0xff, good[i] + 4} {
			bad := bytes.Clone(good)
			bad[i] = v
			z, err := ztoc.Parse(bad)
			if err != nil {
				continue
			}
			n := 0
			for i := range z.NumFiles() {
				f := z.File(i)
				n += len(f.Name) + len(f.Type) + len(f.Link) + len(f.Uname) + len(f.Gname) + len(f.ModTime)
			}
			if n > len(good) {
				t.Errorf("byte %d as %d: %d bytes of strings in a buffer of %d", i, v, n, len(good))
			}
		}
	}
}

// TestShared has buffers whose files are all the first one. That is refused as
// soon as there seems to be more in the buffer than it is long.
func TestShared(t *testing.T) {
	for size, refused := range map[int]bool{1: false, 10000: true} {
		files := make([]ztoc.File, 200)
		files[0].Name = strings.Repeat("x", size)
		w := walker{t, marshal(t, header(ztoc.Gzip, 1, ""), files)}
		list := w.ref(w.field(w.ref(w.field(w.ref(0), 4)), 0)) + 4
		first := w.ref(list)
		for at := list; at < list+4*len(files); at += 4 {
			binary.LittleEndian.PutUint32(w.b[at:], uint32(first-at))
		}
		if _, err := ztoc.Parse(w.b); errors.Is(err, ztoc.ErrInvalid) != refused {
			t.Errorf("200 times a file of %d bytes: %v", size, err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	files := make([]ztoc.File, 0, 20000)
	for len(files) < cap(files) {
		files = append(files, sample()...)
	}
	buf := marshal(b, header(ztoc.Gzip, 250, string(make([]byte, 8<<20))), files)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		z, err := ztoc.Parse(buf)
		if err != nil {
			b.Fatal(err)
		}
		for i := range z.NumFiles() {
			z.File(i)
		}
	}
}
