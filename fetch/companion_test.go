package fetch_test

import (
	"context"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// TestCompanion resolves what lies beside an image, under a name made of its
// own, wherever images have names.
func TestCompanion(t *testing.T) {
	reg := Start(t, Options{})
	one := reg.Push("a/b", "t", Layer{Blob: []byte("one")})
	two := reg.Push("a/b", "t-more", Layer{Blob: []byte("two")})
	first, files := image(t, "t", "one")
	second, more := image(t, "t-more", "two")
	dir := layout(t, append(files, more...), first, second)
	m, docker := dockerImage(t, "a", []string{"a:b"}, file("l.tar", "layer"))
	docker = append(docker, file("manifest.json", encode(t, []any{m})))
	for _, c := range []struct {
		ref  string
		want ocispec.Descriptor
		err  error
	}{
		{reg.Host + "/a/b:t", two, nil},
		{reg.Host + "/a/b:t-more", two, fetch.ErrNotFound},
		{reg.Host + "/a/b@" + one.Digest.String(), two, fetch.ErrNotFound},
		{"oci:" + dir.dir(t) + ":t", second, nil},
		{"oci-archive:" + save(t, dir.tar(t)) + ":t", second, nil},
		{"oci:" + dir.dir(t) + ":t-more", second, fetch.ErrNotFound},
		{"oci:" + dir.dir(t) + "@" + first.Digest.String(), second, fetch.ErrNotFound},
		{"docker-archive:" + save(t, docker.tar(t)) + ":a:b", second, fetch.ErrNotFound},
	} {
		s := open(t, c.ref, fetch.Options{})
		d, err := s.Companion(context.Background(), "-more")
		checkErr(t, err, c.err)
		if err != nil {
			continue
		}
		if _, body, err := s.Complete(context.Background(), d); err != nil || d.Digest != c.want.Digest || len(body) == 0 {
			t.Errorf("%s: %v, %v", c.ref, d, err)
		}
	}
}
