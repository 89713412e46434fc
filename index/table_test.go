package index_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestOpenTables stores the table of contents in other ways than estargz does,
// or something before it that it doesn't tell of: what no digest vouches for
// must be as it always is, or Build is the way.
func TestOpenTables(t *testing.T) {
	p := stargz()(t, liar())
	at, _, err := estargz.OpenFooter(io.NewSectionReader(bytes.NewReader(p.blob), 0, int64(len(p.blob))))
	if err != nil {
		t.Fatal(err)
	}
	var toc []byte
	relist(t, p, func(b []byte) []byte { toc = b; return b })
	name := "stargz.index.json"
	plain := func(h *tar.Header) lt.Entry {
		e := lt.File(h.Name, string(toc), lt.Mode(h.Mode), lt.Owner(int64(h.Uid), 0), lt.ModTime(h.ModTime), lt.Type(h.Typeflag))
		return e
	}
	epoch := lt.Epoch.AddDate(-50, 0, -1).Truncate(24 * 3600e9) // 1970-01-01
	right := tar.Header{Name: name, Typeflag: tar.TypeReg, ModTime: epoch}
	with := func(edit func(*tar.Header)) lt.Entry {
		h := right
		edit(&h)
		return plain(&h)
	}
	for _, c := range []struct {
		name   string
		before []byte // a member before the table's
		table  []byte // what that holds
		want   string
	}{
		{"as ever", nil, lt.Tar(plain(&right)), ""},
		{"with a mode", nil, lt.Tar(with(func(h *tar.Header) { h.Mode = 0o644 })), ""},
		{"setuid", nil, lt.Tar(with(func(h *tar.Header) { h.Mode = 0o4755 })), isNoIndex},
		{"with an owner", nil, lt.Tar(with(func(h *tar.Header) { h.Uid = 1 })), ""},
		{"with a time", nil, lt.Tar(with(func(h *tar.Header) { h.ModTime = lt.Epoch })), ""},
		{"by a longer name", nil, lt.Tar(with(func(h *tar.Header) { h.Name = "./" + name })), isNoIndex},
		{"with an attribute", nil, lt.Tar(lt.File(name, string(toc), lt.Mode(0), lt.ModTime(epoch), lt.Xattr("user.x", "y"))), isNoIndex},
		{"with a file behind it", nil, lt.Tar(plain(&right), lt.File("more", "x")), isNoIndex},
		{"as a directory", nil, lt.Tar(with(func(h *tar.Header) { h.Typeflag = tar.TypeDir })), isFormat},
		{"by another name", nil, lt.Tar(with(func(h *tar.Header) { h.Name = "index.json" })), isFormat},
		{"beyond the end", nil, lt.Members(plain(&right))[:1000], isFormat},
		{"no archive", nil, bytes.Repeat([]byte("x"), 2000), isFormat},
		{"nothing", nil, nil, isFormat},
		{"behind the archive's end", lt.Gzip(make([]byte, 1024), 1), lt.Tar(plain(&right)), ""},
		{"behind another file", lt.Gzip(lt.Members(lt.File("more", "x")), 1), lt.Tar(plain(&right)), isMismatch},
		{"behind a bomb", lt.Gzip(lt.Members(lt.File("more", strings.Repeat("\x00", 4<<20))), 9), lt.Tar(plain(&right)), isLimit},
		{"behind half a header", lt.Gzip(lt.Members(lt.Dir("more"))[:100], 1), lt.Tar(plain(&right)), isFormat},
		{"behind garbage", []byte("garbage"), lt.Tar(plain(&right)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			blob := append(bytes.Clone(p.blob[:at]), c.before...)
			off := int64(len(blob))
			blob = append(append(blob, lt.Gzip(c.table, 1)...), footer(off)...)
			d := digest.FromBytes(blob)
			got := outcome(t, packed{blob, index.Hints{Digest: d, DiffID: d, Limits: index.Limits{TOC: 2 << 20},
				Annotations: map[string]string{noteStargz: digest.FromBytes(toc).String()}}})
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestStored changes each byte of the stored form: it is refused, or nothing
// that the TOC offers panics or reaches beyond the blob.
func TestStored(t *testing.T) {
	read := func(store func([]byte) []byte) pack {
		return func(t testing.TB, _ []byte) packed {
			return packed{blob: store(lt.Tar(lt.File("f", noise(index.ChunkSize+1000, 1)), lt.Symlink("l", "f")))}
		}
	}
	for name, pack := range map[string]pack{
		"estargz": stargz(estargz.WithChunkSize(100)), "packed": lossless(100, 50), "zstd:chunked": podman(100),
		"tar":  read(func(b []byte) []byte { return b }),
		"gzip": read(func(b []byte) []byte { return lt.MultiGzip(b, 2) }),
		"zstd": read(func(b []byte) []byte { return lt.ZstdFrames(b, 3) }),
	} {
		p := pack(t, about(250))
		toc, _, err := open(p)
		if p.hints.Digest == "" {
			toc, _, err = build(p.blob, index.Options{})
		}
		if err != nil {
			t.Fatal(err)
		}
		good := toc.Append(nil)
		for i := range good {
			for _, v := range []byte{0, 1, 0x7f, 0xff, good[i] ^ 8} {
				bad := bytes.Clone(good)
				bad[i] = v
				if toc, err := index.Parse(bad, index.Limits{}); err == nil {
					exercise(t, toc, p.blob)
				}
			}
			if _, err := index.Parse(good[:i], index.Limits{}); err == nil {
				t.Errorf("%s: cut at %d: no error", name, i)
			}
		}
		if _, err := index.Parse(append(bytes.Clone(good), 0), index.Limits{}); err == nil || errors.Is(err, index.ErrNoIndex) {
			t.Errorf("%s: a byte too many: %v", name, err)
		}
	}
}
