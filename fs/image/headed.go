package image

import (
	"errors"
	"fmt"
	"sync"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/index"
)

// headed holds the files of a layer that goes by an index from elsewhere to the
// archive, each when it is read first: the header before the content must be that
// file's. Without it, an index with a wrong place would show other bytes of the
// layer as the file's until all of it has been seen, which may be never.
type headed struct {
	store *cache.Store // for the verdict
	once  sync.Once
	files map[int64]*index.Entry // by where the content is in the decoded space
	found sync.Map               // of those, int64s
}

// list lists the files of toc that have content.
func (h *headed) list(toc *index.TOC) {
	h.files = map[int64]*index.Entry{}
	for e := range toc.Entries() {
		if e.Size > 0 && e.Data == nil {
			h.files[e.Off] = &index.Entry{Name: e.Name, Size: e.Size, Off: e.Off}
		}
	}
}

// header says what is wrong if the content at off isn't a file's, or couldn't be
// read.
func (l *layer) header(off int64) error {
	if l.heads == nil || l.audit.proved() {
		return nil
	}
	if _, ok := l.heads.found.Load(off); ok {
		return nil
	}
	l.heads.once.Do(func() { l.heads.list(l.toc) })
	e := l.heads.files[off]
	if e == nil { // sparse, or nobody's
		return nil
	}
	err := index.CheckHeader(l, e)
	if mismatch := (*index.MismatchError)(nil); errors.As(err, &mismatch) {
		err = fmt.Errorf("layer %d %s: %w", l.n+1, l.desc.Digest, l.condemn(l.heads.store, err))
		if l.audit.bad.CompareAndSwap(nil, &err) {
			l.report(err.Error())
		}
	} else if err == nil {
		l.heads.found.Store(off, nil)
	}
	return err
}
