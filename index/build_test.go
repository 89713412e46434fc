package index_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// kept is a Sink that keeps all it is given.
type kept struct {
	data, windows []byte
	fail          error
}

func (k *kept) Chunk(i int, off int64, p []byte) error {
	if off != int64(len(k.data)) || off != int64(i)*index.ChunkSize {
		return fmt.Errorf("chunk %d at %d after %d bytes", i, off, len(k.data))
	}
	k.data = append(k.data, p...)
	return k.fail
}

func (k *kept) Window(p []byte) error {
	k.windows = append(k.windows, p...)
	return k.fail
}

func build(blob []byte, o index.Options) (*index.TOC, *kept, error) {
	k := new(kept)
	toc, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(blob)), k, o)
	return toc, k, err
}

// noise is n bytes that compress to about a third.
func noise(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, 997)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", r.Uint64())
	}
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()[:n]
}

// archive is a layer of some size with an entry of each kind.
func archive() []byte {
	return lt.Tar(
		lt.Dir("./", lt.Mode(0o711)),
		lt.Dir("usr/bin", lt.Owner(1, 2), lt.ModTime(time.Unix(1e9, 123456789))),
		lt.File("usr/bin/big", noise(5*index.ChunkSize+77, 1)),
		lt.File("usr/bin/small", "small", lt.Mode(0o4755), lt.Xattr("security.capability", "\x01\x00\x00\x02")),
		lt.Hardlink("usr/bin/same", "usr/bin/small"),
		lt.Symlink("usr/bin/link", "../lib/"),
		lt.Char("dev/null", 1, 3),
		lt.Block("dev/sda", 8, 0),
		lt.Fifo("run/pipe"),
		lt.File("empty", ""),
		lt.Whiteout("etc/passwd"),
		lt.File("even", noise(2*index.ChunkSize, 2)),
	)
}

// encodings are the ways one archive can be stored.
func encodings(t testing.TB, tar []byte) map[string][]byte {
	skippable := append([]byte{0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0}, "hello"...)
	m := map[string][]byte{
		"tar":                    tar,
		"gzip members":           lt.MultiGzip(tar, 7),
		"gzip named":             named(t, tar),
		"gzip, zeros behind":     append(lt.Gzip(tar, 6), make([]byte, 1000)...),
		"gzip, garbage behind":   append(lt.Gzip(tar, 6), "and then some"...),
		"zstd":                   lt.Zstd(tar),
		"zstd frames":            lt.ZstdFrames(tar, 9),
		"zstd, skippable frames": slices.Concat(skippable, lt.ZstdFrames(tar, 3), skippable),
		"zstd, garbage behind":   append(lt.Zstd(tar), "and then some"...),
	}
	for _, level := range []int{0, 1, 6, 9} {
		m[fmt.Sprintf("gzip -%d", level)] = lt.Gzip(tar, level)
	}
	return m
}

// named is a gzip member with every optional field of the header.
func named(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Name, w.Comment, w.Extra = "layer.tar", "a comment", []byte("extra")
	_, err := w.Write(b)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestBuild reads one archive in every encoding, stores what was found and
// reads it back, and decodes every chunk alone, all of them together, and some
// without the windows.
func TestBuild(t *testing.T) {
	data := archive()
	want, _, err := build(data, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range encodings(t, data) {
		t.Run(name, func(t *testing.T) {
			o := index.Options{Digest: digest.FromBytes(blob), DiffID: digest.FromBytes(data), Size: int64(len(blob))}
			built, k, err := build(blob, o)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(k.data, data) {
				t.Error("the sink was given something else than the archive")
			}
			toc, err := index.Parse(built.Append(nil), index.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if toc.Digest() != o.Digest || toc.DiffID() != o.DiffID || toc.Size() != int64(len(data)) || toc.BlobSize() != o.Size {
				t.Errorf("stored: %s %s %d %d", toc.Digest(), toc.DiffID(), toc.Size(), toc.BlobSize())
			}
			if got, want := list(toc), list(want); !slices.Equal(got, want) {
				t.Errorf("entries:\n got %q\nwant %q", got, want)
			}
			for i := range toc.Len() {
				decode(t, toc, k, blob, data, i, i+1)
			}
			decode(t, toc, k, blob, data, 0, toc.Len())
			decode(t, toc, k, blob, data, 1, toc.Len()-1)
			decode(t, toc.Coarse(), new(kept), blob, data, 0, toc.Len())
			decode(t, toc.Coarse(), new(kept), blob, data, 3, 5)
		})
	}
}

// decode decodes chunks from the bytes that Extent names, and no others.
func decode(t *testing.T, toc *index.TOC, k *kept, blob, data []byte, first, last int) {
	t.Helper()
	off, n := toc.Extent(first, last)
	next := first
	err := toc.Decode(bytes.NewReader(blob[off:off+n]), bytes.NewReader(k.windows), first, last, func(i int, p []byte) error {
		start, end := toc.Bounds(i)
		if i != next || !bytes.Equal(p, data[start:end]) {
			t.Errorf("chunk %d (after %d) is wrong", i, next)
		}
		next++
		return nil
	})
	if err != nil || next != last {
		t.Errorf("chunks %d to %d: %d decoded, %v", first, last, next-first, err)
	}
}

func list(toc *index.TOC) []string {
	var s []string
	for e := range toc.Entries() {
		s = append(s, fmt.Sprint(e, " ", e.ModTime, e.Xattrs, e.Major, e.Minor, e.Data))
	}
	return s
}

// TestEntries holds what Build lists against archive/tar.
func TestEntries(t *testing.T) {
	data := archive()
	toc, _, err := build(data, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(bytes.NewReader(data))
	for e := range toc.Entries() {
		h, err := tr.Next()
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data[e.Off:e.Off+e.Size], content) {
			t.Errorf("%s: its content lies elsewhere", e)
		}
		if strings.Trim(h.Name, "./") != strings.Trim(e.Name, "./") || e.Mode&0o777 != uint32(h.Mode)&0o777 || !e.ModTime.Equal(h.ModTime) {
			t.Errorf("%s: archive/tar has %s %o %s", e, h.Name, h.Mode, h.ModTime)
		}
	}
	if _, err := tr.Next(); err != io.EOF {
		t.Errorf("archive/tar goes on: %v", err)
	}
}

// TestSparse reads sparse files in each encoding and puts them together.
func TestSparse(t *testing.T) {
	runs := []lt.Run{{Off: 4096, Data: noise(3000, 3)}, {Off: 1 << 20, Data: "x"}, {Off: 2 << 20, Data: noise(600, 4)}}
	many := make([]lt.Run, 100)
	for i := range many {
		many[i] = lt.Run{Off: int64(i) * 1024, Data: fmt.Sprint(i)}
	}
	for _, f := range []lt.SparseFormat{lt.OldGNU, lt.SparseV0, lt.SparseV01, lt.SparseV1} {
		t.Run(f.String(), func(t *testing.T) {
			data := lt.Tar(
				lt.File("before", "one"),
				lt.Sparse(f, "a", 3<<20, runs),
				lt.Sparse(f, "holes", 1<<30, nil),
				lt.Sparse(f, "many", 1<<20, many),
				lt.File("after", "two"))
			toc, _, err := build(data, index.Options{})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]string{}
			for e := range toc.Entries() {
				if e.Size < 1<<30 {
					seen[e.Name] = assemble(data, e)
				} else if len(e.Data) != 0 || e.Data == nil {
					t.Errorf("%s: %v", e.Name, e.Data)
				}
			}
			want := map[string]string{"before": "one", "after": "two",
				"a": lt.Content(3<<20, runs), "many": lt.Content(1<<20, many)}
			for name, content := range want {
				if seen[name] != content {
					t.Errorf("%s has another content", name)
				}
			}
		})
	}
}

func assemble(data []byte, e *index.Entry) string {
	if e.Data == nil {
		return string(data[e.Off : e.Off+e.Size])
	}
	b, off := make([]byte, e.Size), e.Off
	for _, x := range e.Data {
		copy(b[x.Off:x.Off+x.Len], data[off:])
		off += x.Len
	}
	return string(b)
}

// rounds is n, or a tenth of it in short mode, where the race detector makes
// everything slow and damage is not what it looks for.
func rounds(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}

// TestDamage breaks blobs in every encoding: with a promised digest that is
// always a *DigestError, without one an error or the same archive.
func TestDamage(t *testing.T) {
	data := archive()
	for name, blob := range encodings(t, data) {
		if strings.Contains(name, "behind") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			promised := index.Options{Digest: digest.FromBytes(blob), Size: int64(len(blob)), DiffID: digest.FromBytes(data)}
			r := rand.New(rand.NewPCG(7, 7))
			for range rounds(40) {
				bad := bytes.Clone(blob)
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
				var broken *index.DigestError
				if _, _, err := build(bad, promised); !errors.As(err, &broken) {
					t.Errorf("one bit: %v", err)
				}
				cut := blob[:r.IntN(len(blob))]
				if _, _, err := build(cut, promised); !errors.As(err, &broken) {
					t.Errorf("cut at %d: %v", len(cut), err)
				}
				if _, k, err := build(cut, index.Options{}); err == nil && len(k.data) >= len(data) {
					t.Errorf("cut at %d: no error", len(cut))
				}
			}
			if _, _, err := build(append(bytes.Clone(blob), 0), promised); err == nil {
				t.Error("one byte more than promised: no error")
			}
			promised.DiffID = digest.FromString("another")
			var broken *index.DigestError
			if _, _, err := build(blob, promised); !errors.As(err, &broken) || broken.What != "diffID" {
				t.Errorf("another diffID: %v", err)
			}
		})
	}
}

// TestDecodeDamage flips bits of blobs whose TOC is known: a chunk is right,
// or there is an error.
func TestDecodeDamage(t *testing.T) {
	data := archive()
	for name, blob := range encodings(t, data) {
		t.Run(name, func(t *testing.T) {
			toc, k, err := build(blob, index.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(5, 5))
			for range rounds(60) {
				bad := bytes.Clone(blob)
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
				i := r.IntN(toc.Len())
				off, n := toc.Extent(i, i+1)
				_ = toc.Decode(bytes.NewReader(bad[off:off+n]), bytes.NewReader(k.windows), i, i+1, func(i int, p []byte) error {
					if start, end := toc.Bounds(i); !bytes.Equal(p, data[start:end]) {
						t.Errorf("chunk %d: wrong bytes passed", i)
					}
					return nil
				})
			}
		})
	}
}

// TestRefused has the archives that must not be taken, each for its reason.
func TestRefused(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		name  string
		layer []byte
		want  string
	}{
		{"root as a file", lt.Tar(lt.File(".", "x")), "root is not a directory"},
		{"root as a symlink", lt.Tar(lt.Symlink("./", "/tmp")), "root is not a directory"},
		{"dotdot as a file", lt.Tar(lt.File("..", "x")), "root is not a directory"},
		{"a long component", lt.Tar(lt.File(long, "")), "a name of 256 bytes"},
		{"a long path", lt.Tar(lt.File(strings.Repeat("abcdefg/", 600), "")), "a name of"},
		{"a long link", lt.Tar(lt.Symlink("l", strings.Repeat("x", 4096))), "a link of 4096 bytes"},
		{"a link to nothing", lt.Tar(lt.Symlink("l", "")), "a link to nothing"},
		{"an unknown type", lt.Tar(lt.File("z", "", lt.Type('Z'))), "unsupported: a tar entry of type 'Z'"},
		{"a large attribute", lt.Tar(lt.File("f", "", lt.Xattr("user.x", strings.Repeat("x", 1<<16+1)))), "extended attribute of 65537 bytes"},
		{"beyond the end", lt.Members(lt.File("f", "x", lt.Size(1<<40))), "ends in the middle"},
		{"xz", []byte("\xfd7zXZ\x00\x00\x00"), "compressed with xz"},
		{"bzip2", []byte("BZh91AY&SY and so on"), "unsupported: a layer compressed with bzip2"},
		{"lz4", []byte("\x04\x22\x4d\x18 and so on"), "unsupported: a layer compressed with lz4"},
		{"lzip", []byte("LZIP\x01 and so on"), "unsupported: a layer compressed with lzip"},
		{"a window", []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), "a zstd frame needs a window of 2048 MiB, and 128 MiB is allowed"},
		{"a window of all", []byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x40\x01\x00\x00"), "a zstd frame needs a window of 1024 MiB, and 128 MiB is allowed"},
		{"half a gzip header", []byte("\x1f\x8b\x08\x00"), "ends in the middle"},
		{"no archive", []byte(noise(4096, 9)), "invalid tar header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := build(c.layer, index.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
			if over := (*index.WindowError)(nil); errors.As(err, &over) && err != error(over) {
				t.Errorf("the archive is blamed for it: %v", err)
			}
		})
	}
}

// TestLimits holds layers to limits set by the caller.
func TestLimits(t *testing.T) {
	zeros := lt.Tar(lt.File("z", strings.Repeat("\x00", 4<<20)))
	for _, c := range []struct {
		name   string
		blob   []byte
		limits index.Limits
	}{
		{"entries", archive(), index.Limits{Entries: 3}},
		{"decoded", lt.Gzip(zeros, 9), index.Limits{Decoded: 1 << 20}},
		{"xattrs", lt.Tar(lt.File("f", "", lt.Xattr("user.a", ""), lt.Xattr("user.b", ""))), index.Limits{Xattrs: 1}},
	} {
		if _, _, err := build(c.blob, index.Options{Limits: c.limits}); !errors.Is(err, index.ErrLimit) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestOdd has archives that must be taken, odd as they are.
func TestOdd(t *testing.T) {
	for _, c := range []struct {
		name  string
		layer []byte
		want  []string
	}{
		{"nothing at all", nil, nil},
		{"gzip of nothing", lt.Gzip(nil, 6), nil},
		{"an empty archive", lt.Tar(), nil},
		{"names above the root", lt.Tar(lt.File("/abs", ""), lt.File("../../up", ""), lt.File("a/../../b", ""), lt.Dir("../")),
			[]string{"abs", "up", "b", ""}},
		{"two archives", append(lt.Tar(lt.File("one", "")), lt.Tar(lt.File("two", ""))...), []string{"one"}},
		{"no end marker", lt.Members(lt.File("one", "1")), []string{"one"}},
		{"a global header", lt.Tar(lt.Global(lt.Record{Key: "comment", Value: "x"}), lt.File("f", "")), []string{"f"}},
		{"not UTF-8", lt.Tar(lt.File("\xff\xfe", "")), []string{"\xff\xfe"}},
		{"a contiguous file", lt.Tar(lt.File("c", "x", lt.Type(tar.TypeCont))), []string{"c"}},
		{"twice", lt.Tar(lt.File("f", "1"), lt.File("f", "2")), []string{"f", "f"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			toc, _, err := build(c.layer, index.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for e := range toc.Entries() {
				got = append(got, e.Name)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestOddNames has files whose names begin as compressed layers do.
func TestOddNames(t *testing.T) {
	for _, name := range []string{"BZh9 is no bzip2", "LZIP", "\xfd7zX"} {
		if toc, _, err := build(lt.Tar(lt.File(name, "x")), index.Options{}); err != nil || toc.Format() != index.Tar {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestWarnings says what was odd, once.
func TestWarnings(t *testing.T) {
	data := archive()
	for name, want := range map[string]string{
		"gzip, garbage behind": "no member follow",
		"zstd, garbage behind": "no frame follow",
	} {
		var got []string
		o := index.Options{Warn: func(msg string) { got = append(got, msg) }}
		if _, _, err := build(encodings(t, data)[name], o); err != nil || len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestSinkError ends the pass with the sink's error.
func TestSinkError(t *testing.T) {
	full := errors.New("disk full")
	for name, blob := range encodings(t, archive()) {
		k := &kept{fail: full}
		if _, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(blob)), k, index.Options{}); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCancel ends the pass when its context does, also when the blob's reader
// hangs until it is closed.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	pr, pw := io.Pipe()
	go func() {
		pw.Write(lt.Gzip(archive(), 1)[:100])
		cancel()
	}()
	if _, err := index.Build(ctx, pr, new(kept), index.Options{}); err == nil {
		t.Error("no error")
	}
}
