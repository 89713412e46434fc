package image

import (
	"fmt"
	"sync/atomic"

	"ocifs.dev/ocifs/index"
)

// allTables bounds the tables of contents of all layers of an image: two of the
// largest that are taken from elsewhere.
const allTables = 2 * maxTable

// A room is what memory tables of contents may take. Each layer is held to its
// limits by itself; of many that are all as large as those allow, this lets
// through the first, and nobody opens more than a few at a time.
type room struct {
	size int64
	held atomic.Int64
}

func newRoom(o Options) *room {
	r := &room{size: o.Tables}
	if r.size == 0 {
		r.size = allTables
	}
	return r
}

// take takes room for t.
func (r *room) take(t *index.TOC) error {
	if r.held.Add(t.Stored()) > r.size {
		return fmt.Errorf("%w: the layers' tables of contents take more than %d bytes", index.ErrLimit, r.size)
	}
	return nil
}
