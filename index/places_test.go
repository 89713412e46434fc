package index

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestPlaces finds every content, and nothing where none begins.
func TestPlaces(t *testing.T) {
	var entries []Entry
	off := int64(0)
	for i := range 1000 {
		e := Entry{Name: fmt.Sprintf("d%02d/f%d", i/100, i), Mode: ModeRegular}
		switch i % 7 {
		case 0: // an empty file
		case 1:
			e.Size, e.Off = 1<<40, off
			e.Data = []Extent{{5, 10}, {1 << 30, 1}}
		case 2: // all of it a hole
			e.Size, e.Off, e.Data = 1000, off, []Extent{}
		default:
			e.Size, e.Off = int64(i), off+512
		}
		if e.Size > 0 {
			off = e.Off + e.stored()
		}
		entries = append(entries, e)
	}
	for _, n := range []int{0, 1, 31, 32, 33, 1000} {
		p := New(entries[:n]).Places()
		begins := map[int64]bool{}
		for i := range entries[:n] {
			if want := &entries[i]; want.stored() > 0 {
				begins[want.Off] = true
				k, got, _ := p.At(want.Off)
				if got == nil || k != i || got.String() != want.String() {
					t.Fatalf("of %d entries, at %d: %d, %v; want %d, %v", n, want.Off, k, got, i, want)
				}
			}
		}
		for at := int64(-1); at < off+2; at += 13 {
			if _, got, _ := p.At(at); got != nil && !begins[at] {
				t.Fatalf("of %d entries, at %d: %v", n, at, got)
			}
		}
	}
}

// TestPlacesMemory holds them to 16 bytes for each entry, also where names that
// are stored by few bytes are long.
func TestPlacesMemory(t *testing.T) {
	const n = 100_000
	toc, d := &TOC{nentries: n}, delta{}
	deep := strings.Repeat("deep/", 20)
	for i := range n {
		e := &Entry{Name: fmt.Sprintf("%s%07d", deep, i), Mode: ModeRegular, Size: 1, Off: int64(i)}
		toc.entries = appendEntry(toc.entries, e, &d)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := toc.Places()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 16*n {
		t.Errorf("%d bytes for %d entries", got, n)
	}
	if k, e, after := p.At(n - 1); k != n-1 || e == nil || after != n-1 {
		t.Errorf("%d, %v, after %d", k, e, after)
	}
}
