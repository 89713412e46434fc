package index

import (
	"sort"
	"strings"
)

// Places finds entries by where their content lies. It takes a few bytes for each
// entry, however long their names are, and is safe for concurrent use.
type Places struct {
	entries []byte
	stops   []stop // in order
}

// A stop is where a cursor was before every stopEvery-th entry.
type stop struct {
	at int // in entries
	n  int // of the entry that follows
	d  delta
}

// stopEvery entries are walked to find one, at most.
const stopEvery = 32

// Places makes the means to find entries, by one walk.
func (t *TOC) Places() *Places {
	p := &Places{entries: t.entries, stops: make([]stop, 0, t.nentries/stopEvery+1)}
	c, e := cursor{b: t.entries}, new(Entry)
	for n := 0; ; n++ {
		if n%stopEvery == 0 {
			d := c.d
			d.name = strings.Clone(d.name) // or all names around it would stay, too
			p.stops = append(p.stops, stop{len(t.entries) - len(c.b), n, d})
		}
		if !c.next(e) {
			return p
		}
	}
}

// At is the entry whose content begins at off of the decoded space, the number of
// the entry, counted from 0, and where the content before it ends; nil if there is
// none. Contents must lie in the order of entries, as they do in a TOC that was
// parsed.
func (p *Places) At(off int64) (n int, e *Entry, after int64) {
	i := sort.Search(len(p.stops), func(i int) bool { return p.stops[i].d.end > off }) - 1
	if i < 0 {
		return 0, nil, 0
	}
	s := &p.stops[i]
	c, e := cursor{b: p.entries[s.at:], d: s.d}, new(Entry)
	for n, after = s.n, c.d.end; c.next(e) && e.Off <= off; n++ {
		if e.Size > 0 && e.Off == off && e.stored() > 0 {
			return n, e, after
		}
		after = c.d.end
	}
	return 0, nil, 0
}
