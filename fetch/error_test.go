package fetch_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fetch"
)

// TestLongNames says what is wrong with names that are longer than a line, and
// not just the names.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("a", 5000)
	d, files := image(t, "latest", "layer")
	dir := layout(t, files, d).dir(t)
	for ref, want := range map[string]string{
		long:                      "repository name must not be more than",
		"docker://x:" + long:      "invalid reference format",
		long + ".io/x":            "at most 259 bytes",
		"/" + long:                "name is too long",
		"oci:" + long:             "name is too long",
		"oci-archive:" + long:     "name is too long",
		dir + ":" + long:          "the layout has latest",
		"docker-daemon:" + long:   "ocifs does not read docker-daemon:",
		filepath.Join(dir, "x"):   "not found",
		dir + "/" + long + ":tag": "name is too long",
	} {
		s, err := fetch.Open(context.Background(), ref, fetch.Options{})
		if err == nil {
			_, err = s.Resolve(context.Background())
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s…: %v, want %q", ref, err, want)
		}
	}
}
