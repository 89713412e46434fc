package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	claimWait  = 10 * time.Second       // for a peer that is fetching what we want
	claimPause = 2 * time.Millisecond   // the first pause between two looks
	storeWait  = 100 * time.Millisecond // for a peer that is writing, or evicting, the chunk
	storePause = 100 * time.Microsecond
)

// claim keeps other processes from fetching the chunks of f too, until unclaim
// is called. If one is at it already, claim waits until these chunks are
// there, or it gives up, or a time has passed.
func (sp *Space) claim(f *flight) (unclaim func()) {
	from, to := int64(claimBase)+int64(f.first), int64(claimBase)+int64(f.last)
	unclaim = func() {}
	if !sp.onDisk() {
		return unclaim
	}
	poll(sp.stopped, claimPause, sp.patience, func() bool {
		switch err := lockRange(sp.marks, from, to); err {
		case nil:
			unclaim = func() { unlockRange(sp.marks, from, to) }
		case unix.EAGAIN:
			return !f.hurry && sp.arrived(f)
		}
		return true // or there are no such locks here
	})
	return unclaim
}

// arrived reports whether all chunks of f seem to be present.
func (sp *Space) arrived(f *flight) bool {
	for i := f.first; i < f.last; i++ {
		if !readMark(sp.marks, i).present() {
			return false
		}
	}
	return true
}
