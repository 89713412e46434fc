package main

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// A histogram counts durations, in buckets up to each of its bounds, and beyond
// the last one. It is safe for concurrent use.
type histogram struct {
	bounds []time.Duration // ascending
	counts []atomic.Int64  // one more than bounds
	sum    atomic.Int64    // ns
}

func newHistogram(bounds ...time.Duration) *histogram {
	return &histogram{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

func (h *histogram) add(d time.Duration) {
	i, _ := slices.BinarySearch(h.bounds, d)
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// write writes it as Prometheus reads it: each bucket with all that is below it.
func (h *histogram) write(w io.Writer, name string) {
	n := int64(0)
	for i, b := range h.bounds {
		n += h.counts[i].Load()
		fmt.Fprintf(w, "%s_bucket{le=\"%g\"} %d\n", name, b.Seconds(), n)
	}
	n += h.counts[len(h.bounds)].Load()
	fmt.Fprintf(w, "%s_bucket{le=\"+Inf\"} %d\n", name, n)
	fmt.Fprintf(w, "%s_sum %g\n%s_count %d\n", name, time.Duration(h.sum.Load()).Seconds(), name, n)
}
