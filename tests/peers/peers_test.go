package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseLinks(t *testing.T) {
	got, err := parseLinks("0/0,20ms/1Gbit,0.1s/100Mbit,5ms/0")
	want := []link{{}, {20 * time.Millisecond, 1e9}, {100 * time.Millisecond, 1e8}, {5 * time.Millisecond, 0}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "20ms", "20/1Gbit", "-1ms/1Gbit", "1ms/fast", "1ms/-1Mbit", "1ms/NaN", "1ms/1Gbit,"} {
		if got, err := parseLinks(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		unit unit
		v    float64
		want string
	}{
		{seconds, 12.345, "12.3 s"}, {seconds, 0.0456, "45.6 ms"}, {seconds, 0.00000123, "1.23 µs"}, {seconds, 0, "0 µs"},
		{bytes, 999, "999 B"}, {bytes, 1.5e6, "1.50 MB"}, {bytes, 2e12, "2000 GB"},
		{speed, 5e8, "500 MB/s"}, {count, 7, "7.00"}, {factor, 0.256, "0.26×"},
	} {
		if got := c.unit.format(c.v); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median of three: %v", m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median of four: %v", m)
	}
	if m := median(nil); !math.IsNaN(m) {
		t.Errorf("median of none: %v", m)
	}
}

// TestRatio compares within each run, so that a slow one does no harm.
func TestRatio(t *testing.T) {
	a := row{Samples: []sample{{"x": 1}, {"x": 100}, {"x": 3}}}
	b := row{Samples: []sample{{"x": 2}, {"x": 200}, {}}}
	if r, ok := a.ratio("x", &b); r != 0.5 || !ok {
		t.Errorf("%v, %v; want 0.5", r, ok)
	}
	if _, ok := a.ratio("y", &b); ok {
		t.Error("a ratio of nothing")
	}
}

// TestUndo takes back everything, the last thing first, also after an error.
func TestUndo(t *testing.T) {
	var u undo
	var done []int
	for i := range 3 {
		u.add(func() error {
			done = append(done, i)
			if i == 1 {
				return errors.New("one")
			}
			return nil
		})
	}
	if err := u.all(); err == nil || !slices.Equal(done, []int{2, 1, 0}) {
		t.Errorf("%v, %v", done, err)
	}
	if err := u.all(); err != nil || len(done) != 3 {
		t.Errorf("undone twice: %v, %v", done, err)
	}
}

// TestReport writes a page and pictures of an answer to every question, one of
// whose rows is missing, and says so.
func TestReport(t *testing.T) {
	results, out := t.TempDir(), t.TempDir()
	for _, q := range questions() {
		a := &answer{Question: q.name, Machine: "a machine"}
		got := sample{}
		for i, c := range q.columns {
			got[c.name] = float64(i + 1)
		}
		base := q.base
		if base == "" {
			base = "other"
		}
		a.Rows = []row{
			{Group: "a<b", Name: "ocifs", Samples: []sample{got, got}},
			{Group: "a<b", Name: base, Samples: []sample{got, got}},
			{Group: "a<b", Name: "absent", Absent: "not here: nowhere"},
		}
		if err := a.store(results); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(out, "benchmarks"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "benchmarks/pull.md"), []byte("A note.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(results, out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(out, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	if !strings.Contains(page, "A note.\n") || !strings.Contains(page, "not here: nowhere") {
		t.Error("the note or the missing row isn't there")
	}
	for _, q := range questions() {
		if !strings.Contains(page, "## "+q.title+"\n") {
			t.Errorf("%s isn't there", q.name)
		}
		if n := len(q.columns); !strings.Contains(page, "|---|"+strings.Repeat("---|", n)+"\n") {
			t.Errorf("%s: no table of %d columns", q.name, n)
		}
		wellFormed(t, filepath.Join(out, "benchmarks", q.name+".svg"))
	}
}

func wellFormed(t *testing.T, name string) {
	f, err := os.Open(name)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	d := xml.NewDecoder(f)
	bars := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars == 0 {
		t.Errorf("%s: no bars", name)
	}
}

// TestLayout writes a layout and finds it again.
func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "names")
	if err := namesImage(250, 100)(dir); err != nil {
		t.Fatal(err)
	}
	layouts, err := findLayouts(filepath.Dir(dir))
	if err != nil || !slices.Equal(layouts, []string{dir}) {
		t.Errorf("%v, %v", layouts, err)
	}
	if _, err := findLayouts(t.TempDir()); err == nil {
		t.Error("no layout, no error")
	}
	blobs, err := filepath.Glob(dir + "/blobs/sha256/*")
	if err != nil || len(blobs) != 3 {
		t.Errorf("%v, %v; want layer, configuration, manifest", blobs, err)
	}
	var most int64
	for _, b := range blobs {
		if n, err := gunzipped(b); err == nil {
			most = n
		}
	}
	if want := int64(253+2) * 512; most != want {
		t.Errorf("the layer has %d bytes, want %d", most, want)
	}
}
