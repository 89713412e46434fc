package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestErrors holds what goes wrong to its exit code and to one clear line.
func TestErrors(t *testing.T) {
	u := newUser(t)
	in := func(name string) string { return filepath.Join(u.home, name) }
	mkdir := func(name string) string {
		if err := os.Mkdir(in(name), 0o700); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	if err := os.WriteFile(in("file"), []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	tarball := lt.Tar(lt.File("f", "x"))
	ref := u.layoutOf(t, small("t", "hello"),
		lt.Image{Tag: "xz", Layers: []lt.Layer{lt.NewLayer(tarball, []byte("\xfd7zXZ\x00 and so on"), ocispec.MediaTypeImageLayer+"+xz")}},
		lt.Image{Tag: "foreign", Layers: []lt.Layer{lt.NewLayer(tarball, tarball, "application/vnd.sylabs.image.layer.v1.squashfs")}},
		lt.Image{Tag: "diffid", Layers: []lt.Layer{lt.NewLayer(lt.Tar(), tarball, ocispec.MediaTypeImageLayer)}},
		lt.Index{Tag: "other", Manifests: []lt.Document{other(small("", "s390x"), "s390x"), other(small("", "ppc64le"), "ppc64le")}},
		lt.Image{Tag: "garbage", Layers: []lt.Layer{lt.Plain([]byte(strings.Repeat("no archive ", 100)))}},
		lt.Image{Tag: "count", Config: ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString("x"), digest.FromString("y")}}},
			Layers: []lt.Layer{lt.Plain(tarball)}},
	)
	mnt, full := mkdir("mnt"), mkdir("full")
	if err := os.Mkdir(filepath.Join(full, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"mont"}},
		{exitUsage, []string{"mount", ref + ":t"}},
		{exitUsage, []string{"mount", ref + ":t", mnt, "more"}},
		{exitUsage, []string{"mount", "--no-such-flag", ref + ":t", mnt}},
		{exitUsage, []string{"mount", "--platform", "a/b/c/d", ref + ":t", mnt}},
		{exitUsage, []string{"ls", "no reference"}},
		{exitNotFound, []string{"mount", "oci:" + in("nowhere"), mnt}},
		{exitNotFound, []string{"mount", "oci-archive:" + in("nowhere"), mnt}},
		{exitNotFound, []string{"mount", ref + ":nowhere", mnt}},
		{exitNotFound, []string{"mount", ref + "@" + digest.FromString("nowhere").String(), mnt}},
		{exitNotFound, []string{"mount", ref + ":other", mnt}},
		{exitNotFound, []string{"mount", "--platform", "linux/mips64le", ref + ":other", mnt}},
		{exitNotFound, []string{"cat", ref + ":t", "/nowhere"}},
		{exitNotFound, []string{"umount", in("nowhere")}},
		{exitUnreachable, []string{"mount", "--retry", "1", "127.0.0.1:1/nobody:listens", mnt}},
		{exitIntegrity, []string{"mount", ref + ":diffid", mnt}},
		{exitMount, []string{"mount", ref + ":t", in("nowhere")}},
		{exitMount, []string{"mount", ref + ":t", in("file")}},
		{exitMount, []string{"mount", "--cache-dir", mnt, ref + ":t", mnt}},
		{exitUnsupported, []string{"mount", ref + ":xz", mnt}},
		{exitUnsupported, []string{"mount", ref + ":foreign", mnt}},
		{exitFailure, []string{"mount", ref + ":garbage", mnt}},
		{exitFailure, []string{"mount", ref + ":count", mnt}},
		{exitUnsupported, []string{"mount", "oci-archive:" + in("file"), mnt}},
	} {
		name := strings.ReplaceAll(strings.Join(c.args, " "), u.home+"/", "")
		t.Run(name, func(t *testing.T) {
			if c.args[0] == "mount" {
				needFUSE(t)
			}
			u.refused(t, c.code, c.args...)
			if mounted(t, mnt) {
				t.Error("mounted nevertheless")
			}
		})
	}
	u.leftNothing(t)
}

// other is an image for another architecture.
func other(m lt.Image, arch string) lt.Image {
	m.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
	return m
}

// TestDamagedBlob changes one byte of a layer, anywhere, and cuts it short:
// nothing of it may be mounted, and nothing of it kept.
func TestDamagedBlob(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	for _, p := range packings {
		t.Run(p.name, func(t *testing.T) {
			layer := p.pack(lt.Tar(lt.File("f", text(300_000))))
			ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{layer}})
			d := digest.FromBytes(layer.Blob)
			name := filepath.Join(u.home, "layout", "blobs", d.Algorithm().String(), d.Encoded())
			for _, at := range []int{0, 100, len(layer.Blob) / 2, len(layer.Blob) - 1} {
				damaged := []byte(string(layer.Blob))
				damaged[at] ^= 0x10
				overwrite(t, name, damaged)
				u.refused(t, exitIntegrity, "mount", ref+":t", tempDir(t))
			}
			overwrite(t, name, layer.Blob[:len(layer.Blob)/2])
			if r := u.run(t, "mount", ref+":t", tempDir(t)); r.code == exitOK {
				t.Errorf("half a layer: %v", r)
			}
			overwrite(t, name, layer.Blob)
			m := u.mount(t, ref+":t")
			if m.read(t, "f") != text(300_000) {
				t.Error("the whole layer reads wrong after the damaged ones")
			}
			m.unmount(t, u)
		})
	}
}

func overwrite(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedCache changes every file of the cache between two mounts, and
// under a mount: no reader sees any of it.
func TestDamagedCache(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	content := text(3 << 20)
	ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", content)))}})
	for what, damage := range map[string]func(name string, b []byte) error{
		"flipped": func(name string, b []byte) error { return os.WriteFile(name, flip(b), 0o600) },
		"cut":     func(name string, b []byte) error { return os.Truncate(name, int64(len(b)/2)) },
		"emptied": func(name string, _ []byte) error { return os.Truncate(name, 0) },
		"removed": func(name string, _ []byte) error { return os.Remove(name) },
	} {
		t.Run(what, func(t *testing.T) {
			m := u.mount(t, ref+":t")
			m.unmount(t, u)
			files := cacheFiles(t, u)
			if len(files) == 0 {
				t.Fatal("nothing is cached")
			}
			for _, name := range files {
				b, err := os.ReadFile(name)
				if err == nil {
					err = damage(name, b)
				}
				if err != nil {
					t.Fatal(err)
				}
				m := u.mount(t, ref+":t")
				if m.read(t, "f") != content {
					t.Errorf("%s: the file reads wrong", name)
				}
				m.unmount(t, u)
			}
		})
	}
	t.Run("while mounted", func(t *testing.T) {
		m := u.mount(t, ref+":t")
		for _, name := range cacheFiles(t, u) {
			os.Truncate(name, 0)
		}
		if err := os.RemoveAll(u.cache); err != nil {
			t.Fatal(err)
		}
		if m.read(t, "f") != content {
			t.Error("the file reads wrong")
		}
		m.unmount(t, u)
	})
}

// flip changes a byte in every page, and the first and the last.
func flip(b []byte) []byte {
	for i := 0; i < len(b); i += 4096 {
		b[i] ^= 1
	}
	if len(b) > 0 {
		b[len(b)-1] ^= 1
	}
	return b
}

func cacheFiles(t testing.TB, u *user) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(u.cache, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestFullDisk gives the cache a file system that holds nothing: what can't be
// kept is read all the same.
func TestFullDisk(t *testing.T) {
	needFace(t, "fuse", "its disk is a tmpfs")
	needFUSE(t)
	needRoot(t, "mount a small tmpfs")
	u := newUser(t)
	content := text(2 << 20)
	ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", content)))}})
	if err := os.Mkdir(u.cache, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", u.cache, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Skipf("no tmpfs here: %v", err)
	}
	defer unix.Unmount(u.cache, unix.MNT_DETACH)
	m := u.mount(t, ref+":t")
	if m.read(t, "f") != content {
		t.Error("the file reads wrong")
	}
	m.unmount(t, u)
}

// TestPlatforms chooses among the images of nested indexes.
func TestPlatforms(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	arm := other(small("", "arm v7"), "arm")
	arm.Platform.Variant = "v7"
	attestation := other(small("", "attestation"), "unknown")
	attestation.Platform.OS = "unknown"
	nested := lt.Index{Manifests: []lt.Document{other(small("", "arm64"), "arm64"), arm}}
	x := lt.Index{Tag: "x", Manifests: []lt.Document{attestation, other(small("", "amd64"), "amd64"), nested, other(small("", "riscv64"), "riscv64")}}
	docker := x
	docker.Tag, docker.Docker = "docker", true
	ref := u.layoutOf(t, x, docker)
	for platform, want := range map[string]string{
		"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm64/v8": "arm64", "linux/arm/v7": "arm v7", "linux/riscv64": "riscv64",
	} {
		for _, tag := range []string{"x", "docker"} {
			t.Run(fmt.Sprintf("%s %s", tag, platform), func(t *testing.T) {
				m := u.mount(t, ref+":"+tag, "--platform", platform)
				if got := m.read(t, "f"); got != want {
					t.Errorf("the image for %s", got)
				}
				m.unmount(t, u)
			})
		}
	}
	u.refused(t, exitNotFound, "mount", "--platform", "linux/s390x", ref+":x", tempDir(t))
}
