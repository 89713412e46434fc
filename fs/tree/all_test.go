package tree_test

import (
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
)

func TestAll(t *testing.T) {
	m := merge(t, layer{
		dir("b"), file("b/x", "X"), hard("b/y", "b/x"), dir("a"), dir("a/deep"), file("a/deep/f", "F"),
		file("a.txt", "T"), symlink("link", "b"), dir("empty"),
	})
	for _, tt := range []struct{ from, want string }{
		{"", "|a|a/deep|a/deep/f|a.txt|b|b/x|b/y|empty|link"},
		{"a", "|deep|deep/f"}, {"a.txt", ""}, {"empty", ""},
	} {
		from, err := m.Walk(tt.from, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for path, n := range m.All(from) {
			got = append(got, path)
			if same, err := m.Walk(strings.TrimPrefix(tt.from+"/"+path, "/"), false); path != "" && (err != nil || same != n) {
				t.Errorf("%q below %q is %d; it should be %d (%v)", path, tt.from, n, same, err)
			}
		}
		if s := strings.Join(got, "|"); s != tt.want {
			t.Errorf("%q: %q, want %q", tt.from, s, tt.want)
		}
	}
	for path := range m.All(tree.Root) { // and be left early
		if path == "a/deep" {
			break
		}
	}
}
