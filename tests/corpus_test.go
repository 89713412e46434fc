package tests

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// A specimen is an image that somebody else made.
type specimen struct {
	name   string
	ref    string // for ocifs
	layout string // for umoci, with tag; "" if it is to be converted first
	tag    string
}

// TestCorpus mounts every image and every layer of the corpus. Each is equal
// to what umoci makes of it, or refused with one clear line; none is a crash,
// a mount that stays, or a mount where umoci has good reasons to refuse.
func TestCorpus(t *testing.T) {
	needFUSE(t)
	dir := corpus(t)
	if dir == "" {
		t.Skip("OCIFS_CORPUS is not set")
	}
	u := newUser(t)
	for _, s := range slices.Concat(layouts(t, dir), imageArchives(t, dir), wrappedLayers(t, u, dir)) {
		t.Run(strings.TrimPrefix(s.name, dir+"/"), func(t *testing.T) { checkSpecimen(t, u, s) })
	}
}

func checkSpecimen(t *testing.T, u *user, s specimen) {
	want := filepath.Join(tempDir(t), "want")
	oracleErr := s.unpack(t, want)
	m, r := u.tryMount(t, s.ref)
	if m == nil {
		clearLine(t, []string{"mount", s.ref}, r.stderr)
		switch {
		case oracleErr != nil:
			t.Logf("refused by both: %s", r.stderr)
		case slices.Contains(refusedSpecimens, filepath.Base(s.name)):
			t.Logf("refused: %s", r.stderr)
		default:
			t.Errorf("umoci unpacks it, but: %v", r)
		}
		return
	}
	if oracleErr != nil {
		t.Logf("no oracle: %v", oracleErr)
		touch(t, m.dir)
	} else {
		lt.Compare(t, want, m.dir, lt.RootAttrs, lt.DirTimes)
	}
	m.unmount(t, u)
}

// refusedSpecimens are archives that umoci unpacks and we don't.
var refusedSpecimens = []string{}

// touch looks at everything in a mount, and reads the beginning of each file:
// some are larger than any disk.
func touch(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, err := os.Lstat(name); err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Read(make([]byte, 1<<16))
		if err != nil && err.Error() != "EOF" {
			return err
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// unpack has umoci make a tree of the image, within limits: some archives are
// bombs for those who write files.
func (s specimen) unpack(t testing.TB, dir string) error {
	t.Helper()
	needRoot(t, "make the owners and devices that umoci is to make")
	umoci := needProgram(t, "umoci")
	layout, tag := s.layout, s.tag
	if layout == "" {
		layout, tag = dir+".oci", "t"
		skopeo := needProgram(t, "skopeo")
		if out, err := exec.Command(skopeo, "--insecure-policy", "copy", "-q", s.ref, "oci:"+layout+":"+tag).CombinedOutput(); err != nil {
			return fmt.Errorf("skopeo: %w: %s", err, out)
		}
	}
	const limited = `ulimit -f 2097152; exec "$@"` // 1 GiB
	cmd := exec.Command("sh", "-c", limited, "sh", umoci, "raw", "unpack", "--image", layout+":"+tag, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("umoci: %w: %s", err, out)
	}
	return nil
}

// layouts are the OCI layouts below dir, each image of them.
func layouts(t testing.TB, dir string) []specimen {
	t.Helper()
	var list []specimen
	eachFile(t, dir, func(name string) {
		if filepath.Base(name) != ocispec.ImageIndexFile {
			return
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		layout := filepath.Dir(name)
		var index ocispec.Index
		if json.Unmarshal(b, &index) != nil || len(index.Manifests) == 0 {
			list = append(list, specimen{name: layout, ref: "oci:" + layout, layout: layout, tag: "latest"})
			return
		}
		for i, d := range index.Manifests {
			s := specimen{name: layout, layout: layout, tag: d.Annotations[ocispec.AnnotationRefName]}
			s.ref = fmt.Sprintf("oci:%s@%s", layout, d.Digest)
			if i > 0 {
				s.name += fmt.Sprintf(" %d", i)
			}
			list = append(list, s)
		}
	})
	return list
}

// imageArchives are the archives below dir that hold images.
func imageArchives(t testing.TB, dir string) []specimen {
	t.Helper()
	var list []specimen
	eachFile(t, filepath.Join(dir, "images"), func(name string) {
		if !strings.HasSuffix(name, ".tar") {
			return
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case bytes.Contains(b, []byte("oci-layout\x00")) && !bytes.Contains(b, []byte("manifest.json\x00")):
			list = append(list, specimen{name: name, ref: "oci-archive:" + name})
		case bytes.Contains(b, []byte("manifest.json\x00")):
			list = append(list, specimen{name: name, ref: "docker-archive:" + name})
		}
	})
	return list
}

// wrappedLayers makes an image of each archive of the corpus that is no image.
func wrappedLayers(t testing.TB, u *user, dir string) []specimen {
	t.Helper()
	layout := filepath.Join(u.home, "corpus")
	var images []lt.Document
	var list []specimen
	for _, d := range dialects(t) {
		plain, err := decode(d.blob)
		if err != nil || strings.HasPrefix(d.name, "ours/") || strings.HasPrefix(d.name, "images/") {
			continue
		}
		mediaType := ocispec.MediaTypeImageLayer
		if !bytes.Equal(plain, d.blob) {
			mediaType = ocispec.MediaTypeImageLayerGzip
		}
		layer := lt.Layer{Blob: d.blob, MediaType: mediaType, DiffID: digest.FromBytes(plain)}
		tag := fmt.Sprintf("l%x", sha256.Sum256([]byte(d.name)))[:12]
		images = append(images, lt.Image{Tag: tag, Layers: []lt.Layer{layer}})
		list = append(list, specimen{name: d.name, ref: "oci:" + layout + ":" + tag, layout: layout, tag: tag})
	}
	lt.WriteLayout(t, layout, images...)
	return list
}

func eachFile(t testing.TB, dir string, do func(name string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			do(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
