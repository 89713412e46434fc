package image

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"ocifs.dev/ocifs/cache"
	"ocifs.dev/ocifs/index"
)

// headed holds the files of a layer that goes by an index from elsewhere to the
// archive, each when it is read first: the header before the content must be that
// file's, with all that was shown of it. Without it, an index could show other bytes
// of the layer as the file's, or the file as setuid, until all of the layer has
// been seen, which may be never.
type headed struct {
	store *cache.Store // for the verdict
	once  sync.Once
	files *index.Places
	found []atomic.Uint32 // a bit for each entry
}

// list makes it possible to find the files of toc by where their contents are.
func (h *headed) list(toc *index.TOC) {
	h.files = toc.Places()
	h.found = make([]atomic.Uint32, toc.NumEntries()/32+1)
}

// header says what is wrong if the content at off isn't a file's, or couldn't be
// read. data is l, in one way or another.
func (l *layer) header(off int64, data io.ReaderAt) error {
	if l.heads == nil || l.audit.proved() {
		return nil
	}
	l.heads.once.Do(func() { l.heads.list(l.toc) })
	n, e, after := l.heads.files.At(off)
	if e == nil { // nobody's
		return nil
	}
	found, bit := &l.heads.found[n/32], uint32(1)<<(n%32)
	if found.Load()&bit != 0 {
		return nil
	}
	err := index.CheckHeader(data, e, after)
	if wrong := (*WrongIndexError)(nil); errors.As(err, &wrong) { // somebody has found it before
		return err
	}
	if mismatch := (*index.MismatchError)(nil); errors.As(err, &mismatch) {
		err = fmt.Errorf("layer %d %s: %w", l.n+1, l.desc.Digest, l.condemn(l.heads.store, err))
		if l.audit.bad.CompareAndSwap(nil, &err) {
			l.report(err.Error())
		}
	} else if err == nil {
		found.Or(bit)
	}
	return err
}
