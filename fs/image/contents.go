package image

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
)

// contents are the two blobs that an index has of the layer.
func (l *layer) contents() ([]fetch.Content, error) {
	note := map[string]string{layerNote: l.desc.Digest.String()}
	packed, err := compress(l.toc)
	if err != nil {
		return nil, err
	}
	t := content(tableType, packed, note)
	n := l.toc.WindowsSize()
	if n == 0 {
		return []fetch.Content{t, content(windowsType, nil, note)}, nil
	}
	aux, err := l.space.Aux()
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(aux, 0, n)), nil }
	sum := digest.Canonical.Digester()
	r, _ := open()
	if _, err := io.Copy(sum.Hash(), r); err != nil {
		return nil, err
	}
	d := ocispec.Descriptor{MediaType: windowsType, Digest: sum.Digest(), Size: n, Annotations: note}
	return []fetch.Content{t, {Descriptor: d, Open: open}}, nil
}

func content(mediaType string, b []byte, note map[string]string) fetch.Content {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b)), Annotations: note}
	return fetch.Content{Descriptor: d, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// marshal is json.Marshal without the escapes that are meant for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
