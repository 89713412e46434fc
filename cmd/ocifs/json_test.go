package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// TestJSONDocumented holds what commands print to docs/json.md: their schema has
// a section, in which each of their fields stands, or is one of a file's.
func TestJSONDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for s := range strings.SplitSeq("\n"+string(doc), "\n## ") {
		title, body, _ := strings.Cut(s, "\n")
		for name := range strings.SplitSeq(title, ", ") {
			sections[name] = body
		}
	}
	w := newWorld(t)
	signatures := lt.Artifact{Tag: strings.Replace(digestOf(testImage()), ":", "-", 1) + ".sig", Blobs: []lt.Blob{{MediaType: "x/y", Annotations: map[string]string{"predicateType": "z"}}}}
	lt.WriteLayout(t, w.in("layout"), testImage(), otherImage(), signatures)
	other := strings.TrimSuffix(w.ref, ":t") + ":u"
	for _, line := range []string{
		"ls REF odd etc", "find REF", "tree REF", "stat REF usr/bin/ping odd/\xff dev/null", "du REF", "du --by-layer REF", "diff REF " + other,
		"cp REF /usr new", "export REF -o x.tar", "layers REF", "history REF", "platforms REF", "digest REF", "tags REF", "referrers REF",
		"inspect REF", "index build REF", "index push REF", "index show REF", "index verify REF", "index build REF oci:indexed:t",
		"convert --format zstd REF oci:converted:t", "version",
		"cache warm REF", "cache ls", "cache du", "cache verify", "cache prune --all",
	} {
		var v map[string]any
		if err := json.Unmarshal([]byte(w.ok(append(w.words(line), "--json")...)), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		section, ok := sections[v["schema"].(string)]
		if !ok {
			t.Errorf("%s: no section about %s", line, v["schema"])
		}
		delete(v, "schema")
		delete(v, "config") // of the image
		for key := range keys(v) {
			if !strings.Contains(section, key+"`") && !strings.Contains(sections["A file"], "`"+key+"`") {
				t.Errorf("%s: the section about it doesn't say what %s is", line, key)
			}
		}
	}
}

// keys are all keys in a document.
func keys(v any) map[string]bool {
	all := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				all[k] = true
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(v)
	return all
}
