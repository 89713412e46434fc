package main

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ocifs.dev/ocifs/fetch"
)

// A sample is a line of Prometheus's text format: a name with its labels, and a
// value.
type samples map[string]float64

var (
	sampleLine = regexp.MustCompile(`^([a-z_:][a-z0-9_:]*)(\{[^}]*\})? ([^ ]+)$`)
	labelPair  = regexp.MustCompile(`^[a-z_][a-z0-9_]*="(\\\\|\\"|\\n|[^"\\\n])*"$`)
)

// parseMetrics reads the text format, and holds it to the rules that promtool
// checks: each metric has a help text and a type before its samples, once;
// counters end in _total, and nothing else does; histograms have rising buckets,
// the last one of them all, a sum and a count; no sample comes twice.
func parseMetrics(text string) (samples, error) {
	found, kinds := samples{}, map[string]string{}
	helped, name := "", ""
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		wrong := func(what string) error { return fmt.Errorf("line %d: %s: %s", i+1, what, line) }
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			var help string
			helped, help, _ = strings.Cut(rest, " ")
			if !strings.HasSuffix(help, ".") || kinds[helped] != "" {
				return nil, wrong("no help, or for the second time")
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			var kind string
			name, kind, _ = strings.Cut(rest, " ")
			if name != helped || !strings.Contains(" counter gauge histogram ", " "+kind+" ") || (kind == "counter") != strings.HasSuffix(name, "_total") {
				return nil, wrong("a wrong type")
			}
			kinds[name] = kind
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			return nil, wrong("no sample")
		}
		base := m[1]
		if kinds[name] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
		}
		if base != name || name == "" {
			return nil, wrong("not of the metric above")
		}
		for pair := range strings.SplitSeq(strings.Trim(m[2], "{}"), ",") {
			if pair != "" && !labelPair.MatchString(pair) {
				return nil, wrong("a wrong label")
			}
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if _, twice := found[m[1]+m[2]]; err != nil || twice || v < 0 {
			return nil, wrong("a wrong value, or for the second time")
		}
		found[m[1]+m[2]] = v
	}
	return found, found.checkHistograms(kinds, text)
}

func (s samples) checkHistograms(kinds map[string]string, text string) error {
	for name, kind := range kinds {
		if kind != "histogram" {
			continue
		}
		below, last := -1.0, -1.0
		for _, m := range regexp.MustCompile(name+`_bucket\{le="([^"]*)"\} (.*)`).FindAllStringSubmatch(text, -1) {
			bound, _ := strconv.ParseFloat(m[1], 64)
			n, _ := strconv.ParseFloat(m[2], 64)
			if bound <= below || n < last {
				return fmt.Errorf("%s: its buckets don't rise", name)
			}
			below, last = bound, n
		}
		_, sum := s[name+"_sum"]
		if !math.IsInf(below, 1) || last != s[name+"_count"] || !sum {
			return fmt.Errorf("%s: no whole histogram", name)
		}
	}
	return nil
}

// TestMetrics writes what Prometheus can read, and all of it.
func TestMetrics(t *testing.T) {
	w := newWatcher()
	for _, r := range []fetch.Request{{Status: 200, Took: 5 * time.Millisecond}, {Status: 206, Took: 6 * time.Millisecond}, {Status: 206, Took: time.Hour}, {Err: "no"}} {
		w.sent(r)
	}
	w.took(time.Millisecond)
	w.took(0)
	var b bytes.Buffer
	w.metrics(&b, vitals{
		Requests: 1, Fetched: 2, Read: 3, FailedReads: 4, Ops: map[string]uint64{"read": 5, "lookup": 6}, Errors: map[string]uint64{"EIO": 7},
		Retries: 8, FailedFetches: 9, Mismatches: 10, Cache: cacheVitals{11, 12, 13, 14, 15}, Trouble: []string{"x"},
	})
	got, err := parseMetrics(b.String())
	if err != nil {
		t.Fatalf("%v:\n%s", err, &b)
	}
	for name, want := range map[string]float64{
		"ocifs_registry_requests_total": 1, "ocifs_fetch_bytes_total": 2, "ocifs_read_bytes_total": 3, "ocifs_read_errors_total": 4,
		`ocifs_fs_ops_total{op="read"}`: 5, `ocifs_fs_ops_total{op="lookup"}`: 6, `ocifs_fs_errors_total{errno="EIO"}`: 7,
		"ocifs_registry_retries_total": 8, "ocifs_fetch_failures_total": 9, `ocifs_verify_failures_total{source="registry"}`: 10,
		"ocifs_cache_hit_bytes_total": 11, "ocifs_cache_miss_bytes_total": 12, "ocifs_cache_evicted_bytes_total": 13,
		"ocifs_cache_unkept_bytes_total": 14, `ocifs_verify_failures_total{source="cache"}`: 15, "ocifs_healthy": 0,
		`ocifs_registry_answers_total{code="206"}`: 2, `ocifs_registry_answers_total{code="none"}`: 1,
		`ocifs_registry_request_duration_seconds_bucket{le="0.005"}`: 2, `ocifs_registry_request_duration_seconds_bucket{le="0.01"}`: 3,
		`ocifs_registry_request_duration_seconds_bucket{le="30"}`: 3, "ocifs_registry_request_duration_seconds_count": 4,
		"ocifs_registry_request_duration_seconds_sum":    3600.011,
		`ocifs_read_duration_seconds_bucket{le="5e-05"}`: 1, `ocifs_read_duration_seconds_bucket{le="0.001"}`: 2, "ocifs_read_duration_seconds_count": 2,
	} {
		if v, ok := got[name]; v != want || !ok {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	start := got["process_start_time_seconds"]
	if now := float64(time.Now().Unix()); start < now-3600 || start > now+1 {
		t.Errorf("started at %f", start)
	}
	if !strings.Contains(b.String(), "\nocifs_build_info{version=") {
		t.Error("no build_info")
	}
}

// TestParseMetrics holds the test's own parser to what it must refuse.
func TestParseMetrics(t *testing.T) {
	const ok = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"y\"} 1\n"
	if _, err := parseMetrics(ok); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		ok + ok, ok + "b 1\n", ok + "a_total{x=\"y\"} 2\n", "a_total 1\n", strings.Replace(ok, "_total", "", -1), strings.Replace(ok, "A.", "", 1),
		strings.Replace(ok, `"y"`, "y", 1), strings.Replace(ok, " 1", " one", 1),
		"# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
		"# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
	} {
		if _, err := parseMetrics(bad); err == nil {
			t.Errorf("taken for right:\n%s", bad)
		}
	}
}
