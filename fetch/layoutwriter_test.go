package fetch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fetch"
)

func create(t testing.TB, ref string) *fetch.Source {
	t.Helper()
	s, err := fetch.Create(context.Background(), ref, fetch.Options{Retry: impatient, Warn: func(s string) { t.Error("warning:", s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func tagged(u fetch.Upload) fetch.Upload {
	u.Tagged = true
	return u
}

// topIndex returns a layout's index.json.
func topIndex(t testing.TB, dir string) (index ocispec.Index) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

// TestCreate makes layouts where there is nothing, and nowhere else.
func TestCreate(t *testing.T) {
	base := t.TempDir()
	mkdir := func(name string, files ...string) string {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	kept := simple(t, "one").dir(t)
	for _, c := range []struct {
		name, dir string
		err       error
	}{
		{"missing", filepath.Join(base, "missing"), nil},
		{"missing with its parents", filepath.Join(base, "a/b/c"), nil},
		{"empty", mkdir("empty"), nil},
		{"given up half way", mkdir("half", "index.json", ".ocifs-x"), nil},
		{"a layout", kept, nil},
		{"something else", mkdir("else", "x"), fetch.ErrNotFound},
	} {
		for _, ref := range []string{"oci:" + c.dir + ":tag", c.dir + ":tag", "oci:" + c.dir} {
			s, err := fetch.Create(context.Background(), ref, fetch.Options{})
			checkErr(t, err, c.err)
			if err != nil {
				continue
			}
			if _, err := s.Resolve(context.Background()); c.dir != kept {
				checkErr(t, err, fetch.ErrNotFound)
			}
			s.Close()
		}
		if t.Failed() {
			t.Fatal(c.name)
		}
	}
	if entries, _ := os.ReadDir(filepath.Join(base, "else")); len(entries) != 1 {
		t.Errorf("written into a directory of something else: %v", entries)
	}
	if n := len(topIndex(t, kept).Manifests); n != 1 {
		t.Errorf("%d images in a layout that had one", n)
	}
	for _, ref := range []string{"", "oci-archive:" + base + "/x.tar", base + "/empty/oci-layout/x"} {
		_, err := fetch.Create(context.Background(), ref, fetch.Options{})
		checkErr(t, err, errWhatever)
	}
}

// TestPushLayout pushes into a layout and reads what was pushed, by tag and
// by digest, from it and from an archive of it.
func TestPushLayout(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "new")
	data := noise(small)
	u := tagged(pushable(t, data, nil))
	var progress int64
	u.Progress = func(n int64) { progress += n }
	s := create(t, "oci:"+dir+":one")
	d, err := s.Push(ctx, u)
	checkErr(t, err, nil)
	if progress != small+2 {
		t.Errorf("progress up to %d", progress)
	}
	for _, ref := range []string{"oci:" + dir + ":one", "oci:" + dir, dir + "@" + d.Digest.String()} {
		s := open(t, ref, fetch.Options{})
		readAll(t, openBlob(t, s, manifest(t, s).Layers[0]), data)
	}

	_, err = open(t, "oci:"+dir+"@"+d.Digest.String(), fetch.Options{}).Push(ctx, u)
	checkErr(t, err, errAny)
	before := snapshot(t, dir)
	if _, err := s.Push(ctx, u); err != nil || snapshot(t, dir) != before {
		t.Errorf("pushed twice: %v\n%s\n%s", err, before, snapshot(t, dir))
	}
	two, err := s.Push(ctx, tagged(pushable(t, []byte("two"), nil)))
	checkErr(t, err, nil)
	three, err := create(t, "oci:"+dir+":three").Push(ctx, tagged(pushable(t, []byte("three"), nil)))
	checkErr(t, err, nil)
	four, err := s.Push(ctx, pushable(t, []byte("four"), nil))
	checkErr(t, err, nil)
	if list := topIndex(t, dir).Manifests; !sameDigests(list, []ocispec.Descriptor{two, three}) {
		t.Errorf("index.json has %v", list)
	}
	manifest(t, open(t, "oci:"+dir+"@"+four.Digest.String(), fetch.Options{}))
	manifest(t, open(t, "oci:"+dir+":three", fetch.Options{}))

	artifact := pushable(t, []byte("a"), &two)
	a, err := s.Push(ctx, artifact)
	checkErr(t, err, nil)
	_, err = s.Push(ctx, artifact)
	checkErr(t, err, nil)
	if list := topIndex(t, dir).Manifests; !sameDigests(list, []ocispec.Descriptor{two, three, a}) {
		t.Errorf("index.json has %v", list)
	}
	for artifactType, n := range map[string]int{"": 1, typeA: 1, typeB: 0} {
		if list, err := s.Referrers(ctx, two, artifactType); err != nil || len(list) != n {
			t.Error(artifactType, list, err)
		}
	}
	checkErr(t, s.Delete(ctx, a), nil)
	checkErr(t, s.Delete(ctx, a), fetch.ErrNotFound)
	if list, err := s.Referrers(ctx, two, ""); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	checkErr(t, s.Delete(ctx, three), nil)
	_, err = open(t, "oci:"+dir+":three", fetch.Options{}).Resolve(ctx)
	checkErr(t, err, fetch.ErrNotFound)
	if list := topIndex(t, dir).Manifests; !sameDigests(list, []ocispec.Descriptor{two}) {
		t.Errorf("index.json has %v", list)
	}
}

// snapshot lists a directory's files with their times.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, name, fi.Mode(), fi.ModTime(), fi.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPushLayoutNames does not take an artifact's annotations for names.
func TestPushLayoutNames(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := create(t, "oci:"+dir+":one")
	subject, err := s.Push(ctx, tagged(pushable(t, []byte("x"), nil)))
	checkErr(t, err, nil)
	body := encode(t, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: typeA, Config: ocispec.DescriptorEmptyJSON,
		Subject: &subject, Annotations: map[string]string{ocispec.AnnotationRefName: "one"},
	})
	_, err = s.Push(ctx, fetch.Upload{Blobs: []fetch.Content{{Descriptor: ocispec.DescriptorEmptyJSON}}, Manifest: []byte(body)})
	checkErr(t, err, nil)
	if d, err := s.Resolve(ctx); err != nil || d.Digest != subject.Digest {
		t.Error(d, err)
	}
}

// TestPushLayoutConcurrently loses nothing of what many push into a layout at
// a time that none of them found there.
func TestPushLayoutConcurrently(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	const n = 20
	concurrently(t, n, func(i int) error {
		s, err := fetch.Create(context.Background(), fmt.Sprintf("oci:%s:tag%d", dir, i), fetch.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.Push(context.Background(), tagged(pushable(t, fmt.Append(nil, i%3), nil)))
		return err
	})
	if got := len(topIndex(t, dir).Manifests); got != n {
		t.Errorf("%d tags, want %d", got, n)
	}
	for i := range n {
		manifest(t, open(t, fmt.Sprintf("oci:%s:tag%d", dir, i), fetch.Options{}))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".ocifs-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestPushLayoutLocked waits for who changes index.json, as long as it may.
func TestPushLayoutLocked(t *testing.T) {
	dir := t.TempDir()
	s := create(t, "oci:"+dir+":one")
	f, err := os.Open(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Push(ctx, tagged(pushable(t, []byte("x"), nil)))
	checkErr(t, err, context.DeadlineExceeded)
	if n := len(topIndex(t, dir).Manifests); n != 0 {
		t.Errorf("%d images", n)
	}
}

// TestPushLayoutRepairs replaces a blob that was cut short, and removes what
// somebody left who was killed, unless that is still at work.
func TestPushLayoutRepairs(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := create(t, "oci:"+dir+":one")
	data := noise(small)
	u := tagged(pushable(t, data, nil))
	_, err := s.Push(ctx, u)
	checkErr(t, err, nil)
	name := filepath.Join(dir, blobName(digest.FromBytes(data)))
	if err := os.Truncate(name, 1000); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-24 * time.Hour)
	for _, litter := range []string{".ocifs-old", ".ocifs-new", ".ocifs-busy", "mine"} {
		if err := os.WriteFile(filepath.Join(dir, litter), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if litter != ".ocifs-new" {
			os.Chtimes(filepath.Join(dir, litter), old, old)
		}
	}
	busy, err := os.Open(filepath.Join(dir, ".ocifs-busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := unix.Flock(int(busy.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	_, err = s.Push(ctx, u)
	checkErr(t, err, nil)
	readAll(t, openBlob(t, s, manifest(t, s).Layers[0]), data)
	left, _ := filepath.Glob(filepath.Join(dir, ".ocifs-*"))
	if fmt.Sprint(left) != fmt.Sprint([]string{filepath.Join(dir, ".ocifs-busy"), filepath.Join(dir, ".ocifs-new")}) {
		t.Errorf("left over: %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error(err)
	}
}

// TestPushLayoutOdd refuses layouts that cannot be changed, or not safely.
func TestPushLayoutOdd(t *testing.T) {
	for name, breakIt := range map[string]func(dir string) error{
		"not JSON":      func(dir string) error { return os.WriteFile(filepath.Join(dir, "index.json"), []byte("<html>"), 0o644) },
		"a list":        func(dir string) error { return os.WriteFile(filepath.Join(dir, "index.json"), []byte("[]"), 0o644) },
		"null":          func(dir string) error { return os.WriteFile(filepath.Join(dir, "index.json"), []byte("null"), 0o644) },
		"too large":     func(dir string) error { return os.Truncate(filepath.Join(dir, "index.json"), fetch.MaxDocument+1) },
		"a FIFO":        func(dir string) error { return replaceBy(dir, "index.json", unix.Mkfifo) },
		"blobs outside": func(dir string) error { return os.Symlink(os.TempDir(), filepath.Join(dir, "blobs")) },
		"blobs a file":  func(dir string) error { return os.WriteFile(filepath.Join(dir, "blobs"), nil, 0o644) },
	} {
		dir := t.TempDir()
		s := create(t, "oci:"+dir+":one")
		if err := breakIt(dir); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, dir)
		_, err := s.Push(context.Background(), tagged(pushable(t, []byte("x"), nil)))
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if after := snapshot(t, dir); indexLine(after) != indexLine(before) {
			t.Errorf("%s: index.json has been changed:\n%s\n%s", name, before, after)
		}
	}
}

// indexLine is what a snapshot says of index.json.
func indexLine(snapshot string) string {
	for line := range strings.Lines(snapshot) {
		if strings.Contains(line, "index.json") {
			return line
		}
	}
	return ""
}

func replaceBy(dir, name string, make func(string, uint32) error) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		return err
	}
	return make(filepath.Join(dir, name), 0o644)
}

// TestPushLayoutSkopeo lets another program read what was pushed.
func TestPushLayoutSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	dir := t.TempDir()
	s := create(t, "oci:"+dir+":one")
	d, err := s.Push(context.Background(), tagged(pushable(t, noise(small), nil)))
	checkErr(t, err, nil)
	_, err = s.Push(context.Background(), pushable(t, []byte("x"), &d))
	checkErr(t, err, nil)
	out, err := exec.Command(skopeo, "inspect", "--raw", "oci:"+dir+":one").CombinedOutput()
	if err != nil || digest.FromBytes(out) != d.Digest {
		t.Errorf("%v: %s", err, out)
	}
}
