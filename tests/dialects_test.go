package tests

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/index"
	lt "ocifs.dev/ocifs/tests/layertest"
)

// A dialect is an archive in one of the ways in which programs have written
// them.
type dialect struct {
	name string
	blob []byte
}

// dialects are all archives of the corpus, also those wrapped in base64 or
// bzip2 for their owners' convenience, and some of our own, so that there is
// something to compare without a corpus.
func dialects(t testing.TB) []dialect {
	list := []dialect{
		{"ours/base", lt.Tar(baseLayer()...)},
		{"ours/middle", lt.Tar(middleLayer()...)},
		{"ours/zstd", lt.Zstd(lt.Tar(topLayer()...))},
		{"ours/no end", lt.Members(lt.File("f", "x"))},
		{"ours/cut", lt.Members(lt.File("f", text(5000)))[:3000]},
		{"ours/empty", nil},
	}
	for i, q := range quirks {
		list = append(list, dialect{fmt.Sprintf("ours/quirk %d: %s", i, q.name), lt.Tar(q.layer...)})
	}
	dir := corpus(t)
	if dir == "" {
		return list
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(name, ".tar") && !strings.HasSuffix(name, ".layer") && !strings.HasSuffix(name, ".tgz") {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		switch path.Ext(name) {
		case ".base64":
			b, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(b)), ""))
		case ".bz2":
			b, err = io.ReadAll(bzip2.NewReader(bytes.NewReader(b)))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		rel, err := filepath.Rel(dir, name)
		list = append(list, dialect{rel, b})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// corpus is a directory of images and archives that others made, or "".
func corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("OCIFS_CORPUS")
	if dir == "" {
		t.Log("OCIFS_CORPUS is not set: other people's archives are left out")
	}
	return dir
}

// nothing keeps nothing.
type nothing struct{}

func (nothing) Chunk(int, int64, []byte) error { return nil }
func (nothing) Window([]byte) error            { return nil }

// TestDialects reads every archive with our scanner and with archive/tar,
// which is what other tools for images see, and with bsdtar. We may never
// show an entry that archive/tar doesn't; and where that and bsdtar agree, so
// must we.
func TestDialects(t *testing.T) {
	bsdtar, err := exec.LookPath("bsdtar")
	if err != nil {
		t.Log("bsdtar (package libarchive-tools) is not on PATH: its opinion is left out")
	}
	for _, d := range dialects(t) {
		t.Run(d.name, func(t *testing.T) {
			plain, err := decode(d.blob)
			if err != nil {
				plain = nil
			}
			ours, ourErr := scan(d.blob, plain)
			if err != nil {
				return // a compression that the others need help with, and have none here
			}
			theirs, theirErr := readTar(plain)
			for i, line := range ours {
				if i >= len(theirs) || theirs[i] != line {
					t.Fatalf("entry %d is %q; archive/tar: %q", i, line, at(theirs, i))
				}
			}
			switch {
			case ourErr == nil && theirErr != nil:
				t.Errorf("archive/tar says %v, and we nothing", theirErr)
			case ourErr == nil && len(ours) < len(theirs):
				t.Errorf("%d entries; archive/tar has %d, next %q", len(ours), len(theirs), theirs[len(ours)])
			case ourErr != nil && theirErr == nil && bsdtar != "" && bsdtarAgrees(bsdtar, plain, theirs):
				if !refusedOnPurpose(ourErr) {
					t.Errorf("archive/tar and bsdtar read it, and we say %v", ourErr)
				}
			}
		})
	}
}

// refusedOnPurpose reports whether an archive that others list is one that no
// image may have: no file system holds what it describes.
func refusedOnPurpose(err error) bool {
	for _, why := range []string{"the root is not a directory", "a name of 256 bytes", "a link of 4096 bytes"} {
		if strings.HasSuffix(err.Error(), why) {
			return true
		}
	}
	return false
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}

// scan is the entries as our index has them, with the contents of plain that
// it says are theirs.
func scan(blob, plain []byte) ([]string, error) {
	toc, err := index.Build(context.Background(), io.NopCloser(bytes.NewReader(blob)), nothing{}, index.Options{})
	if err != nil {
		return nil, err
	}
	var lines []string
	for e := range toc.Entries() {
		kind := e.Mode & index.ModeType
		if e.HardLink {
			kind = 0
		}
		lines = append(lines, line(e.Name, kind, e.Mode&index.ModePerm, int64(e.UID), int64(e.GID), e.Size, e.ModTime.UnixNano(), e.Link)+contentOf(e, plain))
	}
	return lines, nil
}

// maxContent is the size up to which contents are compared here: there are
// sparse files of 60 GB in the corpus.
const maxContent = 16 << 20

// contentOf is a digest of what an entry says is in the file.
func contentOf(e *index.Entry, plain []byte) string {
	if plain == nil || e.HardLink || e.Mode&index.ModeType != index.ModeRegular || e.Size > maxContent {
		return ""
	}
	b, data := make([]byte, e.Size), plain[e.Off:]
	extents := e.Data
	if extents == nil {
		extents = []index.Extent{{Len: e.Size}}
	}
	for _, x := range extents {
		data = data[copy(b[x.Off:x.Off+x.Len], data):]
	}
	return fmt.Sprintf(" %x", sha256.Sum256(b))
}

// readTar is the entries as archive/tar has them, up to its first error.
func readTar(plain []byte) ([]string, error) {
	types := map[byte]uint32{
		tar.TypeReg: index.ModeRegular, tar.TypeCont: index.ModeRegular, tar.TypeGNUSparse: index.ModeRegular,
		tar.TypeDir: index.ModeDir, tar.TypeSymlink: index.ModeSymlink, tar.TypeLink: 0,
		tar.TypeChar: index.ModeChar, tar.TypeBlock: index.ModeBlock, tar.TypeFifo: index.ModeFIFO,
	}
	var lines []string
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		kind, ok := types[h.Typeflag]
		if !ok {
			return lines, fmt.Errorf("type %q", h.Typeflag)
		}
		size, link := h.Size, h.Linkname
		if kind != index.ModeRegular {
			size = 0
		}
		switch h.Typeflag {
		case tar.TypeLink:
			link = clean(link)
		case tar.TypeSymlink:
		default:
			link = ""
		}
		perm := uint32(h.Mode) & index.ModePerm
		if kind == index.ModeSymlink {
			perm = 0o777 // Linux has no others
		}
		sum := ""
		if kind == index.ModeRegular && size <= maxContent {
			b, err := io.ReadAll(r)
			if err != nil {
				return lines, err
			}
			sum = fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		lines = append(lines, line(clean(h.Name), kind, perm, int64(h.Uid), int64(h.Gid), size, h.ModTime.UnixNano(), link)+sum)
	}
}

func line(name string, kind, perm uint32, uid, gid, size, mtime int64, link string) string {
	return fmt.Sprintf("%q %#o %#o %d:%d %d %d %q", name, kind, perm, uid, gid, size, mtime, link)
}

// clean is a name of an archive as a path below the root.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// decode is what is in a compressed archive.
func decode(blob []byte) ([]byte, error) {
	for _, magic := range []struct {
		bytes   string
		command []string
	}{
		{"\x1f\x8b", []string{"gzip", "-dc"}},
		{"\x28\xb5\x2f\xfd", []string{"zstd", "-dc"}},
		{"\xfd7zXZ\x00", nil},
	} {
		if bytes.HasPrefix(blob, []byte(magic.bytes)) {
			if magic.command == nil {
				return nil, errors.New("nobody reads this")
			}
			cmd := exec.Command(magic.command[0], magic.command[1:]...)
			cmd.Stdin = bytes.NewReader(blob)
			return cmd.Output()
		}
	}
	return blob, nil
}

// bsdtarAgrees reports whether bsdtar lists the same names, to the end.
func bsdtarAgrees(bsdtar string, plain []byte, lines []string) bool {
	cmd := exec.Command(bsdtar, "-tf", "-")
	cmd.Stdin = bytes.NewReader(plain)
	out, err := cmd.Output()
	if err != nil {
		return false
	}
	var names, theirs []string
	for n := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n"), "\n") {
		names = append(names, fmt.Sprintf("%q", clean(n)))
	}
	for _, l := range lines {
		theirs = append(theirs, l[:strings.Index(l, " 0")])
	}
	return slices.Equal(names, theirs)
}
