package image

import (
	"strings"
	"testing"
)

// TestUnmarshal has documents that two readers could understand differently.
func TestUnmarshal(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{"a":1,"b":{"a":2},"c":[{"a":1},{"a":2}]}`, ""},
		{`{"a":1,"a":2}`, `the key "a" twice`},
		{`{"layers":[],"Layers":[]}`, `the key "Layers" twice`},
		{`{"b":[{"x":{"k":1,"K":2}}]}`, `the key "K" twice`},
		{`{"annotations":{"k":"1","K":"2"}}`, ""},
		{`{"annotations":{"k":"1","k":"2"}}`, `the key "k" twice`},
		{`{"a":1} {"a":1}`, "more than one JSON value"},
		{`{"a":1`, "unexpected"},
		{`<html>`, "invalid character"},
		{strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "nested more than"},
		{strings.Repeat("[", 100000), "nested more than"},
	} {
		var v any
		err := unmarshal([]byte(c.doc), &v)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.60s: got %v, want %q", c.doc, err, c.want)
		}
	}
}

// FuzzUnmarshal holds that whatever passes is what package json would take.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:00","platform":{"os":"linux"}}]}`))
	f.Add([]byte(`{"annotations":{"a":"b"},"a":[1,2,null,true]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v struct{ Annotations map[string]string }
		_ = unmarshal(b, &v)
	})
}
