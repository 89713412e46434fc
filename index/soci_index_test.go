package index_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/index"
)

const gzipType = "application/vnd.oci.image.layer.v1.tar+gzip"

func sociIndex() *index.SOCIIndex {
	return &index.SOCIIndex{Version: 2, Tool: `a <tool> & "more"`, Ztocs: []index.SOCIZtoc{
		{Digest: digest.FromString("zTOC 1"), Size: 12345, Layer: digest.FromString("layer 1"), LayerType: gzipType, Span: 4 << 20},
		{Digest: digest.FromString("zTOC 3"), Size: 678, Layer: digest.FromString("layer 3"), LayerType: "application/vnd.oci.image.layer.v1.tar", Span: 1 << 16},
	}}
}

// sociJSON is sociIndex to the byte, as the format has it: no white space, keys
// in the order of the manifest's definition, those of annotations sorted, what
// could be HTML escaped, and no artifactType.
const sociJSON = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
	`"config":{"mediaType":"application/vnd.amazon.soci.index.v2+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},` +
	`"layers":[{"mediaType":"application/octet-stream","digest":"sha256:DIGEST1","size":12345,` +
	`"annotations":{"com.amazon.soci.image-layer-digest":"sha256:LAYER1","com.amazon.soci.image-layer-mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","com.amazon.soci.span-size":"4194304"}},` +
	`{"mediaType":"application/octet-stream","digest":"sha256:DIGEST3","size":678,` +
	`"annotations":{"com.amazon.soci.image-layer-digest":"sha256:LAYER3","com.amazon.soci.image-layer-mediaType":"application/vnd.oci.image.layer.v1.tar","com.amazon.soci.span-size":"65536"}}],` +
	`SUBJECT"annotations":{"com.amazon.soci.build-tool-identifier":"a \u003ctool\u003e \u0026 \"more\""}}`

func wantJSON(subject string) string {
	return strings.NewReplacer(
		"DIGEST1", digest.FromString("zTOC 1").Encoded(), "LAYER1", digest.FromString("layer 1").Encoded(),
		"DIGEST3", digest.FromString("zTOC 3").Encoded(), "LAYER3", digest.FromString("layer 3").Encoded(),
		"SUBJECT", subject).Replace(sociJSON)
}

func TestSOCIIndex(t *testing.T) {
	x := sociIndex()
	b, err := index.MarshalSOCIIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != wantJSON("") {
		t.Errorf("got  %s\nwant %s", b, wantJSON(""))
	}
	if got, err := index.ParseSOCIIndex(b); err != nil || !reflect.DeepEqual(got, x) {
		t.Errorf("read back: %+v, %v", got, err)
	}
	if _, err := index.MarshalSOCIIndex(&index.SOCIIndex{Version: 2}); err == nil {
		t.Error("an index of nothing: no error")
	}
}

func TestSOCIIndexV1(t *testing.T) {
	x := sociIndex()
	x.Version, x.Subject = 1, &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 9}
	b, err := index.MarshalSOCIIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(wantJSON(`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"`+
		string(x.Subject.Digest)+`","size":9},`), "soci.index.v2", "soci.index.v1", 1)
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if got, err := index.ParseSOCIIndex(b); err != nil || !reflect.DeepEqual(got, x) {
		t.Errorf("read back: %+v, %v", got, err)
	}
}

func TestParseSOCIIndex(t *testing.T) {
	good := wantJSON("")
	prefetch := `"layers":[{"mediaType":"application/vnd.amazon.soci.prefetch.v1+json","digest":"sha256:` + digest.FromString("p").Encoded() +
		`","size":3,"annotations":{"com.amazon.soci.image-layer-digest":"` + string(digest.FromString("layer 1")) + `"}},`
	for _, s := range []string{
		strings.Replace(good, `"layers":[`, prefetch, 1),
		strings.Replace(good, `"schemaVersion":2`, `"schemaVersion": 2, "artifactType": "application/vnd.amazon.soci.index.v2+json"`, 1),
		strings.Replace(good, `"com.amazon.soci.span-size"`, `"com.amazon.soci.disable-xattrs":"true","com.amazon.soci.span-size"`, 1),
	} {
		if got, err := index.ParseSOCIIndex([]byte(s)); err != nil || !reflect.DeepEqual(got, sociIndex()) {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for name, s := range map[string]string{
		"nothing":        "",
		"an image":       strings.Replace(good, index.SOCITypeV2, ocispec.MediaTypeImageConfig, 1),
		"a digest":       strings.Replace(good, digest.FromString("zTOC 1").Encoded(), "../../etc", 1),
		"a layer":        strings.Replace(good, digest.FromString("layer 1").Encoded(), "1", 1),
		"a size":         strings.Replace(good, "12345", "-1", 1),
		"a size too big": strings.Replace(good, "12345", "1e10", 1),
	} {
		if _, err := index.ParseSOCIIndex([]byte(s)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
