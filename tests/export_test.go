package tests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// unpackers are programs that read a tar archive from standard input into the
// directory they run in, and keep all they can. bsdtar leaves that directory
// itself its time.
var unpackers = []struct {
	name   string
	args   []string
	ignore []lt.Ignore
}{
	{"tar", []string{"-xpf-", "--numeric-owner", "--xattrs", "--xattrs-include=*"}, nil},
	{"bsdtar", []string{"-xpf-", "--numeric-owner"}, []lt.Ignore{lt.RootAttrs}},
}

// TestExport unpacks exported images with other people's programs, and copies
// them: the same comes out as when umoci unpacks the image. All packings of an
// image give one archive.
func TestExport(t *testing.T) {
	images := fixture(t)
	u := newUser(t)
	var first string
	for _, tag := range []string{"p0", "p1", "p6", "docker"} {
		got := u.ok(t, "export", "oci:"+images.layout+":"+tag)
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("%s gives another archive than p0", tag)
		}
	}
	for _, p := range unpackers {
		t.Run(p.name, func(t *testing.T) {
			name, err := exec.LookPath(p.name)
			if err != nil {
				t.Skip("no oracle: " + p.name + " is not on PATH")
			}
			dir := tempDir(t)
			cmd := exec.Command(name, p.args...)
			cmd.Dir, cmd.Stdin = dir, bytes.NewReader([]byte(first))
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Fatalf("%v\n%s", err, out)
			}
			lt.Compare(t, images.want, dir, p.ignore...)
		})
	}
	t.Run("cp", func(t *testing.T) {
		dir := tempDir(t)
		u.ok(t, "cp", "-a", "oci:"+images.layout+":p1", "/", dir)
		lt.Compare(t, images.want, dir)
	})
	t.Run("a layer again", func(t *testing.T) {
		ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.Plain([]byte(first))}})
		if u.ok(t, "export", ref+":t") != first {
			t.Error("the image of the archive gives another archive")
		}
	})
}

// TestExportInterrupted leaves nothing of an archive that did not become whole.
func TestExportInterrupted(t *testing.T) {
	u := newUser(t)
	ref := u.layoutOf(t, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("f", text(4<<20))))}})
	u.ok(t, "layers", ref+":t")
	cmd := u.command(t, "export", ref+":t")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if cmd.Wait() == nil {
		t.Error("no error, though nobody reads on")
	}
	at := filepath.Join(u.home, "out")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	u.refused(t, exitNotFound, "export", ref+":t", "/nope", "-o", at+"/x.tar")
	u.ok(t, "export", ref+":t", "-o", at+"/y.tar")
	left, err := os.ReadDir(at)
	if err != nil || len(left) != 1 || left[0].Name() != "y.tar" {
		t.Errorf("%v, %v", left, err)
	}
}
