package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"
)

// metrics writes what a mount counts as Prometheus reads it (text format, version
// 0.0.4). No metric has an image, a path or a digest as a label: a socket is of
// one mount. The client library is 2.4 MB.
func (w *watcher) metrics(to io.Writer, v vitals) {
	out := bufio.NewWriter(to)
	defer out.Flush()
	head := func(kind, name, help string) {
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind)
	}

	head("gauge", "ocifs_build_info", "What the process runs; always 1.")
	fmt.Fprintf(out, "ocifs_build_info{version=%q,goversion=%q} 1\n", buildInfo().Version, runtime.Version())
	head("gauge", "process_start_time_seconds", "When the process began, in seconds since 1970.")
	fmt.Fprintf(out, "process_start_time_seconds %.3f\n", float64(w.started.UnixMilli())/1000)
	head("gauge", "ocifs_healthy", "1 as long as /healthz says that all is well, else 0.")
	fmt.Fprintf(out, "ocifs_healthy %d\n", map[bool]int{true: 1}[len(v.Trouble) == 0])

	for _, c := range []struct {
		name, help string
		value      int64
	}{
		{"ocifs_registry_requests_total", "HTTP requests to the registry.", v.Requests},
		{"ocifs_registry_retries_total", "How often something that had failed was asked for again after a pause.", v.Retries},
		{"ocifs_fetch_bytes_total", "Bytes that came from the registry.", v.Fetched},
		{"ocifs_fetch_failures_total", "Fetches for a read that failed, after all retries.", v.FailedFetches},
		{"ocifs_read_bytes_total", "Bytes that readers of the mount were given.", v.Read},
		{"ocifs_read_errors_total", "Reads that failed.", v.FailedReads},
		{"ocifs_cache_hit_bytes_total", "Decoded bytes that were read and were in the cache.", v.Cache.Hit},
		{"ocifs_cache_miss_bytes_total", "Decoded bytes that were read and had to be fetched, or waited for.", v.Cache.Miss},
		{"ocifs_cache_evicted_bytes_total", "Decoded bytes that this process has dropped to keep the cache below its limit.", v.Cache.Evicted},
		{"ocifs_cache_unkept_bytes_total", "Decoded bytes that could not be kept in the cache.", v.Cache.Unkept},
	} {
		head("counter", c.name, c.help)
		fmt.Fprintf(out, "%s %d\n", c.name, c.value)
	}
	head("counter", "ocifs_verify_failures_total", "Pieces that were not what they should be, and were not served.")
	fmt.Fprintf(out, "ocifs_verify_failures_total{source=\"cache\"} %d\n", v.Cache.Damaged)
	fmt.Fprintf(out, "ocifs_verify_failures_total{source=\"registry\"} %d\n", v.Mismatches)
	labelled(out, head, "ocifs_registry_answers_total", "Answers of the registry, by status; none where there was none.", "code", w.codes())
	labelled(out, head, "ocifs_fs_ops_total", "Requests of the kernel, by kind.", "op", v.Ops)
	labelled(out, head, "ocifs_fs_errors_total", "Requests of the kernel that were answered by an error, by its name.", "errno", v.Errors)

	head("histogram", "ocifs_registry_request_duration_seconds", "How long requests to the registry took, until all of the answer was there.")
	w.requests.write(out, "ocifs_registry_request_duration_seconds")
	head("histogram", "ocifs_read_duration_seconds", "How long the kernel's reads took to be answered.")
	w.reads.write(out, "ocifs_read_duration_seconds")
}

// labelled writes a counter that has one label.
func labelled[N int64 | uint64](out io.Writer, head func(kind, name, help string), name, help, label string, counts map[string]N) {
	head("counter", name, help)
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(out, "%s{%s=%q} %d\n", name, label, k, counts[k])
	}
}

// took is for what wants to be told of a READ.
func (w *watcher) took(d time.Duration) { w.reads.add(d) }
