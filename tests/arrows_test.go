package tests

import (
	"slices"
	"strings"
	"testing"
)

// arrows is the complete table of who may import whom within the module:
// leaves that don't know one another (index, fetch, cache, fs/signature), one trunk
// that joins them (fs/image), a face (fs), a mouth (cmd/ocifs).
// A package that isn't here may not exist, nor one be here that doesn't.
var arrows = map[string][]string{
	"index":                  {"index/internal/inflate", "index/internal/ztoc"},
	"index/internal/inflate": {},
	"index/internal/ztoc":    {},
	"fetch":                  {},
	"cache":                  {},
	"fs/signature":           {},
	"fs/tree":                {"index"},
	"fs/image":               {"fs/tree", "index", "fetch", "cache", "fs/signature"},
	"fs":                     {"fs/tree"},
	"fs/erofs":               {"fs", "fs/tree", "index"},
	"fs/bundle":              {"fs/image"},
	"fs/convert":             {"fs/image", "index"},
	"fs/diff":                {"fs/tree", "index"},
	"fs/export":              {"fs/tree", "index"},
	"cmd/ocifs":              {"index", "fetch", "cache", "fs/signature", "fs/tree", "fs/image", "fs", "fs/erofs", "fs/bundle", "fs/convert", "fs/diff", "fs/export"},
	"tests":                  {"index", "cache", "tests/layertest", "tests/registrytest"},
	"tests/layertest":        {},
	"tests/registrytest":     {},
	"tests/demo":             {"tests/layertest", "tests/registrytest"},
	"tests/peers":            {"tests/registrytest"},
	"tests/probe":            {},
}

// borders lists what few packages may import from outside, so that a library
// stays replaceable in one place. An import path here stands for all below it.
var borders = map[string][]string{
	"github.com/hanwen/go-fuse":                {"fs"},
	"github.com/urfave/cli":                    {"cmd/ocifs"},
	"oras.land/oras-go":                        {"fetch"},
	"github.com/BurntSushi/toml":               {"fetch"},
	"net/http":                                 {"fetch", "cmd/ocifs", "tests", "tests/demo", "tests/registrytest"},
	"github.com/containerd/stargz-snapshotter": {"fs/convert", "tests/demo"},
	"unsafe": {},
}

// TestSourceArrows holds the imports of every file to the two tables.
func TestSourceArrows(t *testing.T) {
	there := map[string]bool{}
	for _, f := range readSource(t) {
		there[f.dir] = true
		allowed, ok := arrows[f.dir]
		if !ok {
			t.Errorf("%s: package %s is not in the table of arrows", f.path, f.dir)
			continue
		}
		for _, spec := range f.ast.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				if !mayImport(f, allowed, ours) {
					t.Errorf("%s: imports %s; %s may import only %q", f.path, ours, f.dir, allowed)
				}
				continue
			}
			if who, ok := border(imported); ok && !f.test && !slices.Contains(who, f.dir) {
				t.Errorf("%s: imports %s, which only %q may", f.path, imported, who)
			}
		}
	}
	for name := range arrows {
		if !there[name] {
			t.Errorf("package %s is in the table of arrows, but there is none", name)
		}
	}
}

// mayImport reports whether f may import ours: what its package may, and for
// tests also that package itself, what lies below tests/, and the leaves, of
// which what they test is made.
func mayImport(f sourceFile, allowed []string, ours string) bool {
	if slices.Contains(allowed, ours) {
		return true
	}
	leaf := ours == "index" || ours == "fetch" || ours == "cache" || ours == "fs/signature"
	return f.test && (ours == f.dir || leaf || strings.HasPrefix(ours, "tests/"))
}

// border finds the entry of borders that imported falls under.
func border(imported string) ([]string, bool) {
	for prefix, who := range borders {
		if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
			return who, true
		}
	}
	return nil, false
}
