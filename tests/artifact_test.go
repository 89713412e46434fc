package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

const composeType = "application/vnd.docker.compose.project"

// composition is a Compose application whose services are those.
func composition(tag string, subject lt.Document, services ...string) lt.Artifact {
	text := "services:\n"
	for i := 0; i < len(services); i += 2 {
		text += fmt.Sprintf("  %s:\n    image: %s\n", services[i], services[i+1])
	}
	return lt.Artifact{Type: composeType, Tag: tag, Subject: subject, Blobs: []lt.Blob{{
		MediaType: "application/vnd.docker.compose.file+yaml", Body: []byte(text),
		Annotations: map[string]string{"com.docker.compose.file": "compose.yaml"},
	}}}
}

// bearing is an image for a platform, with a file that has this content.
func bearing(content string, platform *ocispec.Platform) lt.Image {
	return lt.Image{Layers: []lt.Layer{lt.GzipLayer(lt.Tar(lt.File("etc/who", content)))}, Platform: platform}
}

func linux(arch string) *ocispec.Platform { return &ocispec.Platform{OS: "linux", Architecture: arch} }

// multi is an image index for two platforms.
func multi(tag, content string) lt.Index {
	return lt.Index{Tag: tag, Manifests: []lt.Document{bearing(content+" amd64", linux("amd64")), bearing(content+" arm64", linux("arm64"))}}
}

// listing is the index that clients keep under a tag for registries without a
// referrers API.
func listing(subject lt.Document, referrers ...lt.Document) lt.Index {
	return lt.Index{Tag: strings.Replace(string(lt.Store{}.Add(subject).Digest), ":", "-", 1), Manifests: referrers}
}

// artifacts are what TestArtifacts mounts: an application in a bundle, one that
// refers to an image, one that an index refers to, one whose images are elsewhere,
// and a model.
func artifacts() []lt.Document {
	web, db := multi("", "web"), multi("", "db")
	bundled := composition("", nil, "web", "o/web@"+digestOf(web).String(), "db", "o/db@"+digestOf(db).String())
	image := multi("image", "image")
	loose := composition("loose", image, "only", "o/image:1")
	app := composition("app", nil, "web", "o/web@"+digestOf(web).String())
	images := lt.Index{Manifests: []lt.Document{web}, Subject: app}
	model := lt.Artifact{Tag: "model", Type: "application/vnd.cncf.model.manifest.v1+json", Blobs: []lt.Blob{
		{MediaType: "application/vnd.cncf.model.weight.v1.raw", Body: weights(), Annotations: map[string]string{"org.cncf.model.filepath": "w/model.bin"}},
		{MediaType: "application/vnd.cncf.model.doc.v1.tar", Body: lt.Tar(lt.File("README", "read me")), Annotations: map[string]string{"org.cncf.model.filepath": "README"}},
	}}
	apart := composition("apart", nil, "tagged", "images.example/app:image", "again", "images.example/app:image",
		"pinned", "images.example/app:gone@"+digestOf(web).String(), "model", "images.example/app:model")
	return []lt.Document{
		lt.Index{Tag: "bundle", Manifests: []lt.Document{bundled, web, db}},
		image, loose, listing(image, loose), app, images, listing(app, images), model, apart,
	}
}

// weights are 9 MiB.
func weights() []byte { return bytes.Repeat([]byte("0123456789abcde\n"), 9<<20/16) }

// files are the regular files below dir, as name=content, but for long ones.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		if len(b) > 1000 {
			b = fmt.Appendf(nil, "%d bytes", len(b))
		}
		list = append(list, rel+"="+strings.ReplaceAll(string(b), "\n", "|"))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	slices.Sort(list)
	return list
}

// TestArtifacts mounts Compose applications and other artifacts, from registries
// with and without the referrers API, and from a layout.
func TestArtifacts(t *testing.T) {
	needFUSE(t)
	dir := tempDir(t)
	lt.WriteLayout(t, dir, artifacts()...)
	api := registrytest.Start(t, registrytest.Options{Referrers: registrytest.ReferrersAPI{API: true, Filter: true}})
	tags := registrytest.Start(t, registrytest.Options{})
	for _, reg := range []*registrytest.Server{api, tags} {
		if err := reg.PushLayout("app", "", dir); err != nil {
			t.Fatal(err)
		}
	}
	places := map[string]string{"layout": "oci:" + dir, "referrers API": api.Host + "/app", "tags": tags.Host + "/app"}
	if registry, err := exec.LookPath("docker-registry"); err == nil {
		places["docker-registry"] = startDockerRegistry(t, registry) + "/app"
		upload(t, dir, "http://"+places["docker-registry"][:strings.Index(places["docker-registry"], "/")]+"/v2/app/")
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			conf := fmt.Sprintf("[[registry]]\nprefix = 'images.example'\nlocation = %q\ninsecure = true\n", api.Host)
			if err := os.WriteFile(filepath.Join(u.home, "registries.conf"), []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			u.env = append(u.env, "OCIFS_REGISTRIES_CONF="+u.home+"/registries.conf")
			for _, c := range []struct {
				tag     string
				options []string
				want    string
			}{
				{"bundle", nil, "compose.yaml=… images/db/etc/who=db amd64 images/web/etc/who=web amd64"},
				{"bundle", []string{"--platform=linux/arm64"}, "compose.yaml=… images/db/etc/who=db arm64 images/web/etc/who=web arm64"},
				{"bundle", []string{"--all-platforms", "--subpath=linux-arm64/images/web"}, "etc/who=web arm64"},
				{"apart", nil, "compose.yaml=…"},
				{"apart", []string{"--all-images"}, "compose.yaml=… images/again/etc/who=image amd64 images/model/README=read me images/model/w/model.bin=9437184 bytes images/pinned/etc/who=web amd64 images/tagged/etc/who=image amd64"},
				{"apart", []string{"--all-images", "--platform=linux/arm64", "--subpath=images/tagged"}, "etc/who=image arm64"},
				{"loose", nil, "compose.yaml=… images/only/etc/who=image amd64"},
				{"image", []string{"--compose", "--platform=linux/arm64"}, "compose.yaml=… images/only/etc/who=image arm64"},
				{"image", []string{"--all-platforms"}, "linux-amd64/etc/who=image amd64 linux-arm64/etc/who=image arm64"},
				{"app", nil, "compose.yaml=… images/web/etc/who=web amd64"},
				{"model", nil, "README=read me w/model.bin=9437184 bytes"},
				{"model", []string{"--verify=full"}, "README=read me w/model.bin=9437184 bytes"},
			} {
				options := c.options
				if !strings.Contains(strings.Join(options, " "), "platform") {
					options = append(options, "--platform=linux/amd64")
				}
				m := u.mount(t, place+":"+c.tag, options...)
				got := files(t, m.dir)
				for i, f := range got {
					if strings.HasPrefix(f, "compose.yaml=services:|  ") {
						got[i] = "compose.yaml=…"
					}
				}
				if s := strings.Join(got, " "); s != c.want {
					t.Errorf("%s %q: %s\nwant %s", c.tag, c.options, s, c.want)
				}
				m.unmount(t, u)
			}
			if out := u.ok(t, "referrers", place+":image"); !strings.Contains(out, "└── "+composeType+"  "+digestOf(artifacts()[2]).String()) {
				t.Errorf("referrers: %s", out)
			}
			if out := u.ok(t, "referrers", "--artifact-type=x/y", place+":image"); out != "" {
				t.Errorf("referrers of another type: %s", out)
			}
			if out := u.ok(t, "cat", place+":model", "/README"); out != "read me" {
				t.Errorf("cat: %q", out)
			}
		})
	}
}

// upload puts all that there is in a layout into a repository.
func upload(t *testing.T, dir, repository string) {
	t.Helper()
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs/sha256"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		resp, err := http.Post(repository+"blobs/uploads/", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		to.RawQuery += "&digest=sha256:" + b.Name()
		send(t, to.String(), "application/octet-stream", readBlob(t, dir, b.Name()))
	}
	var index ocispec.Index
	unmarshal(t, filepath.Join(dir, "index.json"), &index)
	for _, d := range index.Manifests {
		uploadManifest(t, dir, repository, d.Annotations[ocispec.AnnotationRefName], d)
	}
}

// uploadManifest puts a manifest, after those that it lists.
func uploadManifest(t *testing.T, dir, repository, tag string, d ocispec.Descriptor) {
	t.Helper()
	var doc ocispec.Index
	unmarshal(t, filepath.Join(dir, "blobs/sha256", d.Digest.Encoded()), &doc)
	for _, m := range doc.Manifests {
		uploadManifest(t, dir, repository, "", m)
	}
	if tag == "" {
		tag = d.Digest.String()
	}
	send(t, repository+"manifests/"+tag, d.MediaType, readBlob(t, dir, d.Digest.Encoded()))
}

func send(t *testing.T, to, mediaType string, body []byte) {
	t.Helper()
	req, err := http.NewRequest("PUT", to, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		t.Fatalf("PUT %s: %s\n%s", to, resp.Status, said)
	}
}

func readBlob(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "blobs/sha256", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unmarshal(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestModelByRange counts what a piece of a large blob costs, and what a wrong
// one comes to.
func TestModelByRange(t *testing.T) {
	needFUSE(t)
	dir := tempDir(t)
	lt.WriteLayout(t, dir, artifacts()...)
	reg := registrytest.Start(t, registrytest.Options{})
	if err := reg.PushLayout("app", "", dir); err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	m := u.mount(t, reg.Host+"/app:model")
	// What the tag points at, the manifest; the small archive, read whole.
	expect(t, reg, "the mount", map[registrytest.Kind]int{registrytest.Manifest: 2, registrytest.Blob: 1})
	f, err := os.Open(filepath.Join(m.dir, "w/model.bin"))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if _, err := f.ReadAt(b, 5<<20); err != nil || string(b) != "0123456789abcde\n" {
		t.Errorf("a piece: %q, %v", b, err)
	}
	f.Close()
	if n := reg.Count(registrytest.Blob); n < 1 || n > 2 { // the kernel reads ahead
		t.Errorf("a piece took %d requests: %q", n, told(reg))
	}
	if _, err := os.ReadFile(filepath.Join(m.dir, "w/model.bin")); err != nil {
		t.Error(err)
	}
	m.unmount(t, u)
	if s := m.stderr.String(); !strings.Contains(s, "1 file (9.0 MiB) can be verified only once all of it was read") {
		t.Errorf("nothing was said of what isn't verified: %s", s)
	}

	reg.Use(registrytest.On(registrytest.Blob, registrytest.Flip(1000)))
	u = newUser(t)
	m = u.mount(t, reg.Host+"/app:model", "--layer=1")
	waitFor(t, "reads to fail", func() bool {
		_, err := os.ReadFile(filepath.Join(m.dir, "w/model.bin"))
		return errors.Is(err, syscall.EIO)
	})
	m.unmount(t, u)
	if s := m.stderr.String(); !strings.Contains(s, "all of it was read, and it is not what its digest says") {
		t.Errorf("nobody was told: %s", s)
	}
	u.refused(t, exitIntegrity, "cat", reg.Host+"/app:model", "w/model.bin")
	u.refused(t, exitIntegrity, "mount", "--verify=full", reg.Host+"/app:model", tempDir(t))
}

// TestLayersStacked mounts layers by themselves, and has overlayfs stack them:
// that is what the image shows.
func TestLayersStacked(t *testing.T) {
	needRoot(t, "stack layers")
	needFUSE(t)
	dir := tempDir(t)
	lt.WriteLayout(t, dir, lt.Image{Tag: "t", Layers: []lt.Layer{
		lt.GzipLayer(lt.Tar(lt.Dir("d"), lt.File("d/gone", "1"), lt.File("d/kept", "2"), lt.Dir("o"), lt.File("o/gone", "3"), lt.File("f", "4"))),
		lt.GzipLayer(lt.Tar(lt.Dir("d"), lt.Whiteout("d/gone"), lt.Dir("o"), lt.Opaque("o"), lt.File("o/new", "5"), lt.Whiteout("f"))),
	}})
	u := newUser(t)
	whole := u.mount(t, "oci:"+dir+":t")
	lower, upper := u.mount(t, "oci:"+dir+":t", "--layer=1"), u.mount(t, "oci:"+dir+":t", "--layer=2")
	stack := tempDir(t)
	if err := syscall.Mount("overlay", stack, "overlay", 0, "lowerdir="+upper.dir+":"+lower.dir); err != nil {
		t.Skipf("no overlayfs here: %v", err)
	}
	got, want := files(t, stack), files(t, whole.dir)
	if err := syscall.Unmount(stack, 0); err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, want) || len(want) != 2 {
		t.Errorf("stacked %q, merged %q", got, want)
	}
	for _, m := range []*mount{whole, lower, upper} {
		m.unmount(t, u)
	}
}
