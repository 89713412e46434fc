package index

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestIsClean holds isClean to clean.
func TestIsClean(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"", "/", ".", "..", "...", "a/.../b", "a/./b", "a/..", "a//b", "a/", "/a", "a/..b", "é\xff/\x00"}
	for range 10_000 {
		var b strings.Builder
		for range r.IntN(8) {
			b.WriteByte("a./"[r.IntN(3)])
		}
		names = append(names, b.String())
	}
	for _, name := range names {
		if got, want := isClean(name), clean(name) == name; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

// manyEntries is a table of n files, a hundred in a directory, with names of some
// 30 bytes.
func manyEntries(n int) *TOC {
	toc, d := &TOC{nentries: n}, delta{}
	for i := range n {
		e := &Entry{Name: fmt.Sprintf("usr/lib/package-%04d/module%05d", i/100, i), Mode: ModeRegular | 0o644}
		toc.entries = appendEntry(toc.entries, e, &d)
	}
	return toc
}

// TestEntriesMemory walks and checks entries with one allocation for each hundred
// names, and a few more; and names stay what they were when others follow.
func TestEntriesMemory(t *testing.T) {
	const n = 20_000
	toc := manyEntries(n)
	if got := testing.AllocsPerRun(3, func() {
		for range toc.Entries() {
		}
	}); got > n/100+10 {
		t.Errorf("%v allocations to walk %d entries", got, n)
	}
	if got := testing.AllocsPerRun(3, func() {
		if err := toc.checkEntries(Limits{}.withDefaults()); err != nil {
			t.Fatal(err)
		}
	}); got > n/100+10 {
		t.Errorf("%v allocations to check %d entries", got, n)
	}
	var names []string
	for e := range toc.Entries() {
		names = append(names, e.Name)
	}
	for i, name := range names {
		if want := fmt.Sprintf("usr/lib/package-%04d/module%05d", i/100, i); name != want {
			t.Fatalf("entry %d is called %q, want %q", i, name, want)
		}
	}
}

// BenchmarkCheckEntries is the part of Parse that grows with the entries.
func BenchmarkCheckEntries(b *testing.B) {
	const n = 76_000
	toc := manyEntries(n)
	b.ReportAllocs()
	for b.Loop() {
		if err := toc.checkEntries(Limits{}.withDefaults()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
