package tests

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestFormats mounts one image in every packing and compares all of it with
// what umoci unpacks, from a cold cache and from a warm one.
func TestFormats(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	layout, want := fixture(t).layout, fixture(t).want
	for i, p := range packings {
		t.Run(p.name, func(t *testing.T) {
			ref := fmt.Sprintf("oci:%s:p%d", layout, i)
			m := u.mount(t, ref)
			readAtRandom(t, want, m.dir)
			lt.Compare(t, want, m.dir)
			m.unmount(t, u)

			m = u.mount(t, ref)
			lt.Compare(t, want, m.dir)
			m.unmount(t, u)
		})
	}
}

// TestSources mounts one image from every kind of place that needs no
// network.
func TestSources(t *testing.T) {
	needFUSE(t)
	u := newUser(t)
	in := func(name string) string { return filepath.Join(u.home, name) }
	oci, docker := packed("t", lt.GzipLayer), packed("example.com/app:t", lt.Plain)
	lt.WriteLayout(t, in("layout"), oci)
	want := fixture(t).want

	ociArchive, dockerArchive := lt.OCIArchive(oci), lt.DockerArchive(docker)
	files := map[string][]byte{
		"oci.tar": ociArchive, "oci.tar.gz": lt.Gzip(ociArchive, gzip.BestSpeed), "oci.tar.zst": lt.Zstd(ociArchive),
		"docker.tar": dockerArchive, "docker.tar.gz": lt.Gzip(dockerArchive, gzip.BestSpeed), "docker.tar.zst": lt.Zstd(dockerArchive),
	}
	refs := []string{
		"oci:" + in("layout") + ":t", "oci:" + in("layout"), "oci-layout://" + in("layout"), in("layout") + ":t",
		fmt.Sprintf("oci:%s@%s", in("layout"), digestOf(oci)),
		"oci-archive:" + in("oci.tar") + ":t", "docker-archive:" + in("docker.tar") + ":example.com/app:t",
	}
	for name, b := range files {
		if err := os.WriteFile(in(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, in(name))
	}
	for _, ref := range refs {
		t.Run(filepath.Base(ref), func(t *testing.T) {
			m := u.mount(t, ref)
			lt.Compare(t, want, m.dir)
			m.unmount(t, u)
		})
	}
}
