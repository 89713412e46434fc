package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
)

// TestDistribution reads from the registry that most others are made of.
func TestDistribution(t *testing.T) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry (Debian's package of that name) is not installed")
	}
	host := startDistribution(t, program, "")
	data := noise(2*fullPiece + 12345)
	var layers []ocispec.Descriptor
	for _, b := range [][]byte{data, []byte("small")} {
		layers = append(layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: upload(t, host, "a/b", b), Size: int64(len(b))})
	}
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Layers: layers}
	m.SchemaVersion = 2
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: upload(t, host, "a/b", config), Size: int64(len(config))}
	body := []byte(encode(t, m))
	put(t, "http://"+host+"/v2/a/b/manifests/tag", m.MediaType, body)

	ctx := context.Background()
	s := open(t, host+"/a/b:tag", fetch.Options{})
	d, err := s.Resolve(ctx)
	if err != nil || d.Digest != digest.FromBytes(body) || d.MediaType != m.MediaType {
		t.Fatal(d, err)
	}
	if got, err := s.Document(ctx, d); err != nil || !bytes.Equal(got, body) {
		t.Errorf("manifest %q, %v", got, err)
	}
	if got, err := s.Document(ctx, m.Config); err != nil || !bytes.Equal(got, config) {
		t.Errorf("config %q, %v", got, err)
	}
	b := openBlob(t, s, layers[0])
	p := make([]byte, 1000)
	if _, err := b.ReadAt(p, 12345); err != nil || !bytes.Equal(p, data[12345:][:1000]) {
		t.Error(err)
	}
	readAll(t, b, data)
	if n := s.Stats().Requests; n != 2+1+1+3 {
		t.Errorf("%d requests", n)
	}
	_, err = open(t, host+"/a/b:none", fetch.Options{}).Resolve(ctx)
	checkErr(t, err, fetch.ErrNotFound)
	_, err = open(t, host+"/none:tag", fetch.Options{}).Resolve(ctx)
	checkErr(t, err, fetch.ErrNotFound)
	gone := ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}
	_, err = openBlob(t, s, gone).ReadAt(p, 0)
	checkErr(t, err, fetch.ErrNotFound)
	long := ocispec.Descriptor{Digest: layers[1].Digest, Size: 100}
	_, err = openBlob(t, s, long).ReadAt(p[:10], 0)
	checkErr(t, err, errDigest)
}

// startDistribution runs the registry on a port of its own until the test
// ends. storage is added to the configuration of its storage.
func startDistribution(t *testing.T, program, storage string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}%s}\nhttp: {addr: %q}\n", dir, storage, host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 500 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			resp.Body.Close()
			return host
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("docker-registry does not answer")
	return ""
}

// upload pushes a blob.
func upload(t *testing.T, host, repo string, body []byte) digest.Digest {
	t.Helper()
	resp, err := http.Post("http://"+host+"/v2/"+repo+"/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatal(resp.Status, err)
	}
	d := digest.FromBytes(body)
	query := to.Query()
	query.Set("digest", d.String())
	to.RawQuery = query.Encode()
	put(t, to.String(), "application/octet-stream", body)
	return d
}

func put(t *testing.T, to, mediaType string, body []byte) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Method: http.MethodPut, URL: u, Header: http.Header{"Content-Type": {mediaType}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(to, resp.Status)
	}
}

// TestDistributionPush pushes to it: it has no referrers API, checks what
// indexes refer to, and deletes only if it is told to.
func TestDistributionPush(t *testing.T) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry (Debian's package of that name) is not installed")
	}
	ctx := context.Background()
	keeping := open(t, startDistribution(t, program, "")+"/a/b:t", fetch.Options{})
	d, err := keeping.Push(ctx, tagged(pushable(t, []byte("x"), nil)))
	checkErr(t, err, nil)
	checkErr(t, keeping.Delete(ctx, d), fetch.ErrUnsupported)

	s := open(t, startDistribution(t, program, ", delete: {enabled: true}")+"/a/b:t", fetch.Options{})
	data := noise(fullPiece + 12345)
	d, err = s.Push(ctx, tagged(pushable(t, data, nil)))
	checkErr(t, err, nil)
	if got, err := s.Resolve(ctx); err != nil || got.Digest != d.Digest {
		t.Error(got, err)
	}
	readAll(t, openBlob(t, s, manifest(t, s).Layers[0]), data)
	before := s.Stats().Requests
	_, err = s.Push(ctx, tagged(pushable(t, data, nil)))
	checkErr(t, err, nil)
	if n := s.Stats().Requests - before; n != 3 { // HEAD for each
		t.Errorf("%d requests to push the same again", n)
	}

	var artifacts []ocispec.Descriptor
	for i := range 3 {
		a, err := s.Push(ctx, pushable(t, fmt.Append(nil, i), &d))
		checkErr(t, err, nil)
		artifacts = append(artifacts, a)
	}
	list := func(want ...ocispec.Descriptor) {
		t.Helper()
		got, err := s.Referrers(ctx, d, typeA)
		checkErr(t, err, nil)
		if !sameDigests(got, want) {
			t.Errorf("referrers %v, want %v", got, want)
		}
	}
	list(artifacts...)
	checkErr(t, s.Delete(ctx, artifacts[0]), nil)
	list(artifacts[1:]...)
	checkErr(t, s.Delete(ctx, artifacts[0]), fetch.ErrNotFound)

	// Somebody deletes one and leaves the list as it is.
	host, _, _ := strings.Cut(s.Name(), "/")
	req, err := http.NewRequest(http.MethodDelete, "http://"+host+"/v2/a/b/manifests/"+artifacts[1].Digest.String(), nil)
	checkErr(t, err, nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	last, err := s.Push(ctx, pushable(t, []byte("last"), &d))
	checkErr(t, err, nil)
	list(artifacts[2], last)

	tag := open(t, host+"/a/b:"+tagOf(d), fetch.Options{})
	for _, a := range []ocispec.Descriptor{artifacts[2], last} {
		_, err := tag.Resolve(ctx)
		checkErr(t, err, nil)
		checkErr(t, s.Delete(ctx, a), nil)
	}
	_, err = tag.Resolve(ctx)
	checkErr(t, err, fetch.ErrNotFound)
	a, err := s.Push(ctx, pushable(t, []byte("after all"), &d))
	checkErr(t, err, nil)
	list(a)

	wrong := pushable(t, []byte("wrong"), nil)
	wrong.Blobs = wrong.Blobs[:1]
	_, err = s.Push(ctx, wrong)
	checkErr(t, err, errAny)
}
