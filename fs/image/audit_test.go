package image_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// pushFile puts an artifact of one file, called "f", into a registry, as a/b:t.
func pushFile(reg *registrytest.Server, body string) {
	config, d := reg.PutBlob(ocispec.MediaTypeEmptyJSON, []byte("{}")), reg.PutBlob("x/y", []byte(body))
	reg.PutManifest("a/b", "t", ocispec.MediaTypeImageManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"mediaType":%q,"artifactType":"x/y","config":{"mediaType":%q,"digest":%q,"size":2},`+
			`"layers":[{"mediaType":"x/y","digest":%q,"size":%d,"annotations":{%q:"f"}}]}`,
		ocispec.MediaTypeImageManifest, config.MediaType, config.Digest, d.Digest, len(body), ocispec.AnnotationTitle))
}

// TestAuditOutOfReach has what was seen be evicted, and out of reach, when all of
// it is to be read once more: that proves nothing, and reads go on.
func TestAuditOutOfReach(t *testing.T) {
	body := noise(6 << 20)
	layer := lt.Plain(lt.Tar(lt.File("f", body)))
	for name, push := range map[string]func(*registrytest.Server) digest.Digest{
		"a large blob": func(reg *registrytest.Server) digest.Digest {
			pushFile(reg, body)
			return digest.FromString(body)
		},
		"by an index": func(reg *registrytest.Server) digest.Digest {
			reg.Push("a/b", "t", registrytest.Layer{MediaType: layer.MediaType, Blob: layer.Blob, DiffID: layer.DiffID})
			addIndex(t, reg.Host+"/a/b:t")
			return digest.FromBytes(layer.Blob)
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{Writable: true})
			blob := push(reg).String()
			src, err := fetch.Open(context.Background(), reg.Host+"/a/b:t", fetch.Options{Retry: fetch.Retry{Attempts: 1, MaxWait: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			s, warned := store(t), make(chan string, 9)
			img, err := image.Open(context.Background(), src, s, image.Options{Warn: func(msg string) { warned <- msg }})
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			n, err := img.Tree().Walk("f", true)
			if err != nil {
				t.Fatal(err)
			}
			most := len(body) - 1<<20
			p := make([]byte, len(body))
			if _, err = img.ReadAt(n, p[:most], 0); err == nil {
				_, err = s.Trim(context.Background(), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			reg.Use(registrytest.If(func(r *http.Request) bool {
				from := int64(0)
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				return strings.HasSuffix(r.URL.Path, blob) && from < 1<<20
			}, registrytest.Status(http.StatusServiceUnavailable)))
			if _, err := img.ReadAt(n, p[most:], int64(most)); err != nil || string(p) != body {
				t.Fatalf("the rest: %v", err)
			}
			if msg := <-warned; !strings.Contains(msg, "could not be verified") {
				t.Errorf("warned: %s", msg)
			}
			reg.Heal()
			if _, err := img.ReadAt(n, p[:most], 0); err != nil || string(p) != body {
				t.Errorf("when the registry is back: %v", err)
			}
		})
	}
}

// TestUnverifiedApart has two registries of which one gives something else than
// the large blob that it promises: it is not what the other one is taken for.
func TestUnverifiedApart(t *testing.T) {
	body, s := noise(5<<20), store(t)
	wrong, right := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	wrong.Use(registrytest.On(registrytest.Blob, registrytest.Flip(5)))
	for _, reg := range []*registrytest.Server{wrong, right} {
		pushFile(reg, body)
		img, err := image.Open(context.Background(), source(t, reg.Host+"/a/b:t"), s, image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := img.Tree().Walk("f", true)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 100)
		if _, err := img.ReadAt(n, p, 0); err != nil || (string(p) == body[:100]) != (reg == right) {
			t.Errorf("from the one that is right: %v; %v", reg == right, err)
		}
		img.Close()
	}
}
