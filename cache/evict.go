package cache

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	evictWait = 10 * time.Second // for another process that evicts; it does our work

	// coldBytes and coldChunks bound what is evicted at once.
	coldBytes  = 256 << 10
	coldChunks = batch
)

// Trim evicts until the store takes at most limit bytes on disk, or there is
// nothing to evict, and returns how many bytes less it takes now. First go
// the chunks of spaces that no process has open, the space that was used
// longest ago first; then those of open spaces, longest unused first, which is
// safe under their readers; last, what builders left beside closed spaces,
// and with it what makes filling them cheap. Objects stay, and so do spaces that
// are pinned: the store may take more than limit for them. Trim works
// whatever the store's own limit is; one process evicts at a time.
func (s *Store) Trim(ctx context.Context, limit int64) (freed int64, err error) {
	s.sweep()
	if s.Usage() <= limit {
		return 0, nil
	}
	// Without its turn it evicts all the same: chunks are locked one by one.
	turn, err := s.evictorsTurn(ctx, evictWait)
	if err != nil {
		return 0, fmt.Errorf("cache: trim: %w", err)
	}
	defer turn.Close()
	before := s.Usage()
	e := evictor{s: s, ctx: ctx, limit: limit, used: before, pinned: s.pinned()}
	for _, step := range []func(){e.emptyClosed, e.punchOpen, e.punchOpen, e.removeClosed} {
		if e.enough() {
			break
		}
		step()
		e.used = s.Usage() // what the step freed was an estimate
	}
	return before - e.used, ctx.Err()
}

// An evictor is one eviction.
type evictor struct {
	s     *Store
	ctx   context.Context
	limit int64
	used  int64 // on disk by now, about
	// solid: the file system knows no holes, only whole files can go.
	solid  bool
	hole   hole // the one being made
	pinned map[Item]bool
}

func (e *evictor) enough() bool { return e.used <= e.limit || e.ctx.Err() != nil }

// A place is where a space lies, and when it was last used.
type place struct {
	in   dir
	name string
	used time.Time
}

// byAge lists the spaces in some directories that may be evicted from, the one
// used longest ago first.
func (e *evictor) byAge(dirs ...dir) (all []place) {
	for _, d := range dirs {
		names, _ := d.names()
		for _, n := range names {
			if d == e.s.spaces && e.pinned[Item{KindSpace, n}] {
				continue
			}
			if st, err := d.stat(n + "/marks"); err == nil && checkKey(n) == nil {
				all = append(all, place{d, n, time.Unix(st.Mtim.Unix())})
			}
		}
	}
	slices.SortFunc(all, func(a, b place) int { return a.used.Compare(b.used) })
	return all
}

// emptyClosed takes chunks from spaces that nobody has open.
func (e *evictor) emptyClosed() {
	for _, x := range e.byAge(e.s.spaces) {
		if e.enough() {
			return
		}
		e.emptySpace(x.name)
	}
}

func (e *evictor) emptySpace(key string) {
	p, err := e.s.openPair(e.s.spaces, key, unix.LOCK_EX, 0)
	if err == errTorn {
		e.s.removeSpace(key)
	}
	if err != nil {
		return
	}
	defer p.close()
	defer p.keepTime()()
	size := diskBytes(p.data)
	if e.used-e.limit < size { // a part of it will do
		e.punch(coldest(0, p.marks), p)
		if !e.solid {
			return
		}
	}
	for _, c := range coldest(0, p.marks) {
		e.s.tally.evicted.Add(c.bytes)
	}
	if _, err := p.dir.stat("aux"); err == nil {
		p.empty()
	} else {
		e.s.destroy(key)
	}
	e.used -= size
}

// keepTime lets evicting from a space, which writes its marks, not look like
// using it: what it returns sets the time of last use back.
func (p *pair) keepTime() func() {
	st, err := p.marks.Stat()
	if err != nil {
		return func() {}
	}
	return func() { p.dir.touch("marks", st.ModTime()) }
}

// empty makes all chunks absent and frees their data. The space is locked
// exclusively.
func (p *pair) empty() {
	st, err := p.data.Stat()
	if err != nil || p.marks.Truncate(markSize) != nil {
		return
	}
	p.data.Truncate(0)
	p.data.Truncate(st.Size())
}

// punchOpen takes chunks from spaces that are open, expelled ones too.
func (e *evictor) punchOpen() {
	var pairs []pair
	var all []cold
	for _, x := range e.byAge(e.s.spaces, e.s.temp) {
		if p, err := e.s.openPair(x.in, x.name, unix.LOCK_SH, 0); err == nil {
			defer p.close()
			all = append(all, coldest(len(pairs), p.marks)...)
			pairs = append(pairs, p)
		}
	}
	slices.SortStableFunc(all, func(a, b cold) int { return cmp.Compare(a.used, b.used) })
	e.punch(all, pairs...)
}

// removeClosed removes spaces that nobody has open, with all that is beside
// their chunks.
func (e *evictor) removeClosed() {
	for _, x := range e.byAge(e.s.spaces) {
		if e.enough() {
			return
		}
		size := e.s.spaces.allocated(x.name)
		if e.s.removeSpace(x.name) == nil {
			e.used -= size
		}
	}
}

// A cold is some neighbouring present chunks, to be evicted together.
type cold struct {
	run
	bytes int64
	used  uint32 // the latest of them
	in    int    // which space
}

// coldest lists the present chunks of a space, the longest unused first.
func coldest(in int, marks *os.File) (all []cold) {
	var b [64 << 10]byte
	for i := 0; ; {
		n, _ := marks.ReadAt(b[:], markOff(i))
		if n < markSize {
			break
		}
		for r := b[:n/markSize*markSize]; len(r) > 0; r = r[markSize:] {
			if m := getMark(r, i); m.present() {
				all = addCold(all, i, m, in)
			}
			i++
		}
	}
	slices.SortStableFunc(all, func(a, b cold) int { return cmp.Compare(a.used, b.used) })
	return all
}

func addCold(all []cold, i int, m mark, in int) []cold {
	n := len(all) - 1
	if n >= 0 && all[n].last == i && i-all[n].first < coldChunks && all[n].bytes+int64(m.len) <= coldBytes {
		all[n].last++
		all[n].bytes += int64(m.len)
		all[n].used = max(all[n].used, m.used)
		return all
	}
	return append(all, cold{run{i, i + 1}, int64(m.len), m.used, in})
}

func diskBytes(f *os.File) int64 {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	return st.Blocks * 512
}
