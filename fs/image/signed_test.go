package image_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/signature"
	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// A signer signs as cosign does.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(t *testing.T) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

func (s signer) keys(t *testing.T) *signature.Keys {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	k, err := signature.ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s signer) sign(message string) string {
	sum := sha256.Sum256([]byte(message))
	sig, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// simple is a layer with a payload of simple signing.
func (s signer) simple(d string) lt.Blob {
	p := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, d)
	return lt.Blob{MediaType: signature.PayloadType, Body: []byte(p), Annotations: map[string]string{signature.PayloadNote: s.sign(p)}}
}

// bundle is a referrer with a bundle, as cosign 3 writes it.
func (s signer) bundle(of lt.Document) lt.Artifact {
	const media, kind = "application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.in-toto+json"
	d := digest.Digest(digestOf(of))
	p := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, d.Encoded())
	b, err := json.Marshal(map[string]any{"mediaType": media, "dsseEnvelope": map[string]any{
		"payload": []byte(p), "payloadType": kind,
		"signatures": []any{map[string]string{"sig": s.sign(fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(p), p))}},
	}})
	if err != nil {
		panic(err)
	}
	return lt.Artifact{Type: media, Subject: of, Blobs: []lt.Blob{{MediaType: media, Body: b}}}
}

// under is what older versions push under a tag.
func (s signer) under(of lt.Document, digests ...string) lt.Artifact {
	m := lt.Artifact{Tag: strings.Replace(digestOf(of), ":", "-", 1) + ".sig", Config: lt.Blob{MediaType: "application/vnd.oci.image.config.v1+json", Body: []byte("{}")}}
	for _, d := range digests {
		m.Blobs = append(m.Blobs, s.simple(d))
	}
	return m
}

// TestSigned opens what is signed, and nothing else.
func TestSigned(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	amd := named("amd", platform("linux/amd64"))
	index := lt.Index{Tag: "t", Manifests: []lt.Document{amd, named("arm", platform("linux/arm64"))}}
	old := lt.Artifact{Config: lt.Blob{MediaType: "application/vnd.dev.cosign.artifact.sig.v1+json", Body: []byte("{}")}, Subject: index, Blobs: []lt.Blob{s.simple(digestOf(index))}}
	app := composed(index)
	for _, c := range []struct {
		name string
		docs []lt.Document
		o    image.Options
		want string // which digest is signed, or what the error says
	}{
		{"a bundle of the index", []lt.Document{s.bundle(index)}, image.Options{}, digestOf(index)},
		{"a bundle of the manifest", []lt.Document{s.bundle(amd)}, image.Options{}, digestOf(amd)},
		{"that of another platform", []lt.Document{s.bundle(amd)}, image.Options{Platform: "linux/arm64"}, "there is none of"},
		{"all platforms, by the index", []lt.Document{s.bundle(index)}, image.Options{View: image.View{AllPlatforms: true}}, digestOf(index)},
		{"all platforms, by a manifest", []lt.Document{s.bundle(amd)}, image.Options{View: image.View{AllPlatforms: true}}, "there is none of"},
		{"simple signing with a subject", []lt.Document{old}, image.Options{}, digestOf(index)},
		{"simple signing, under a tag", nil, image.Options{}, digestOf(index)},
		{"nothing", []lt.Document{}, image.Options{}, "there is none of " + digestOf(index) + " or " + digestOf(amd)},
		{"another key", []lt.Document{other.bundle(index), other.bundle(amd)}, image.Options{}, "2 signatures, but not signed by the key"},
		{"one of two", []lt.Document{other.bundle(index), s.bundle(index)}, image.Options{}, digestOf(index)},
		{"a Compose application beside it", []lt.Document{s.bundle(index), app}, image.Options{View: image.View{Compose: true}}, "does not cover the Compose application"},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs := append([]lt.Document{index}, c.docs...)
			if c.docs == nil {
				docs = append(docs, s.under(index, digestOf(amd), digestOf(index)))
			}
			c.o.Keys = s.keys(t)
			if c.o.Platform == "" && !c.o.View.AllPlatforms {
				c.o.Platform = "linux/amd64"
			}
			ref := layout(t, "t", docs...)
			img, err := image.Open(context.Background(), source(t, ref), store(t), c.o)
			if strings.HasPrefix(c.want, "sha256:") {
				if err != nil {
					t.Fatal(err)
				}
				defer img.Close()
				if got := img.Manifest().Signed; string(got) != c.want {
					t.Errorf("signed: %s, want %s", got, c.want)
				}
			} else if !errors.Is(err, image.ErrUnsigned) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			if _, _, err := image.Describe(context.Background(), source(t, ref), store(t), c.o); c.o.View == (image.View{}) && errors.Is(err, image.ErrUnsigned) == strings.HasPrefix(c.want, "sha256:") {
				t.Errorf("described: %v", err)
			}
		})
	}
}

func composed(of lt.Document) lt.Artifact {
	return lt.Artifact{Type: "application/vnd.docker.compose.project", Subject: of, Blobs: []lt.Blob{blob("application/vnd.docker.compose.file+yaml", "services: {}", "com.docker.compose.file", "compose.yaml")}}
}

// TestSignedElsewhere asks a registry for signatures, once: they are verified
// again by what the cache has. One that can't answer is no unsigned image.
func TestSignedElsewhere(t *testing.T) {
	s := newSigner(t)
	img := named("x", nil)
	img.Tag = "t"
	for name, sig := range map[string]lt.Document{"bundle": s.bundle(img), "tag": s.under(img, digestOf(img))} {
		t.Run(name, func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{Referrers: registrytest.ReferrersAPI{API: name == "bundle"}})
			dir := strings.TrimSuffix(strings.TrimPrefix(layout(t, "t", img, sig), "oci:"), ":t")
			if err := reg.PushLayout("r", "", dir); err != nil {
				t.Fatal(err)
			}
			ref := reg.Host + "/r@" + digestOf(img)
			st := store(t)
			o := image.Options{Keys: s.keys(t)}
			for i := range 2 {
				reg.Reset()
				m, err := image.Open(context.Background(), source(t, ref), st, o)
				if err != nil {
					t.Fatal(err)
				}
				m.Close()
				if n := reg.Count(); i == 1 && n != 0 {
					t.Errorf("%d requests the second time", n)
				}
			}
			if _, err := image.Open(context.Background(), source(t, ref), st, image.Options{Keys: newSigner(t).keys(t)}); !errors.Is(err, image.ErrUnsigned) {
				t.Errorf("with another key: %v", err)
			}
			reg.Use(registrytest.If(func(req *http.Request) bool {
				return strings.Contains(req.URL.Path, "/referrers/") || strings.HasSuffix(req.URL.Path, ".sig")
			}, registrytest.Status(http.StatusForbidden)))
			if _, err := image.Open(context.Background(), source(t, ref), store(t), o); !errors.Is(err, fetch.ErrUnauthorized) {
				t.Errorf("where nobody may ask: %v", err)
			}
		})
	}
}

// TestSignedNotBelieved has a signed image with an index beside it, which the
// signature doesn't cover: nobody goes by that.
func TestSignedNotBelieved(t *testing.T) {
	ref, _ := indexed(t, nil)
	src := source(t, ref)
	d, err := src.Resolve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t)
	dir := strings.TrimSuffix(strings.TrimPrefix(ref, "oci:"), ":t")
	reg := registrytest.Start(t, registrytest.Options{Referrers: registrytest.ReferrersAPI{API: true}})
	if err := reg.PushLayout("r", "", dir); err != nil {
		t.Fatal(err)
	}
	sig := s.simple(d.Digest.String())
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{%q:%q}}]}`,
		sig.MediaType, reg.PutBlob(sig.MediaType, sig.Body).Digest, len(sig.Body), signature.PayloadNote, sig.Annotations[signature.PayloadNote])
	reg.PutManifest("r", strings.Replace(d.Digest.String(), ":", "-", 1)+".sig", "application/vnd.oci.image.manifest.v1+json", []byte(m))
	for _, keys := range []*signature.Keys{nil, s.keys(t)} {
		img, err := image.Open(context.Background(), source(t, reg.Host+"/r@"+d.Digest.String()), store(t), image.Options{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		want := image.OriginPushed
		if keys != nil {
			want = image.OriginRead
		}
		if got := img.Layers()[0].Origin; got != want {
			t.Errorf("signed %t: %s, want %s", keys != nil, got, want)
		}
		img.Close()
	}
}
