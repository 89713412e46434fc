package erofs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/erofs"
	"ocifs.dev/ocifs/index"
)

// TestFsck has fsck.erofs, which others have written, look at an image, and unpack
// it: it finds nothing wrong, and in it what is there. (The one of erofs-utils
// 1.5 leaves out holes, so there are none.)
func TestFsck(t *testing.T) {
	fsck, err := exec.LookPath("fsck.erofs")
	if err != nil {
		t.Skip("fsck.erofs is not on PATH (package erofs-utils)")
	}
	s := &source{tree: merge(t, slices.Concat(many("d", 300, 100), []index.Entry{
		file("f", 300_001), hard("g", "f"), symlink("l", "f"), symlink("m", strings.Repeat("z", 4090)),
		file("x", 5000, xattr("user.x", "1"), xattr("security.capability", "\x01\x00\x00\x02")),
	})...)}
	l, err := erofs.NewLayout(s.tree)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	image, device, out := filepath.Join(dir, "image"), filepath.Join(dir, "device"), filepath.Join(dir, "out")
	var b bytes.Buffer
	if _, err := l.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	d := erofs.NewDevice(l, s)
	contents, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
	if err := errors.Join(err, os.WriteFile(image, b.Bytes(), 0o600), os.WriteFile(device, contents, 0o600)); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(fsck, "--device="+device, "--extract="+out, "--no-preserve", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for path, n := range s.tree.All(0) {
		a := s.tree.Attr(n)
		name := filepath.Join(out, path)
		fi, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case fi.Mode().IsRegular():
			want := make([]byte, a.Size)
			s.ReadAt(n, want, 0)
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, want %d, %v", path, len(got), len(want), err)
			}
		case fi.Mode()&os.ModeSymlink != 0:
			if to, err := os.Readlink(name); err != nil || to != s.tree.Readlink(n) {
				t.Errorf("%s leads to %q, %v", path, to, err)
			}
		case !fi.IsDir():
			t.Errorf("%s is %v", path, fi.Mode())
		}
	}
}
