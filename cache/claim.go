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

// claim keeps other processes from fetching the chunks that f owns too, until
// unclaim is called. If one is at it already, claim waits until these chunks are
// there, or it gives up, or a time has passed. What lies in f's run and is
// another flight's is left alone: all flights of a space lock by one open file,
// so that what f would unlock could be what the other has claimed.
func (sp *Space) claim(f *flight) (unclaim func()) {
	if !sp.onDisk() {
		return func() {}
	}
	owned := sp.owned(f)
	var claimed []run
	poll(sp.stopped, claimPause, sp.patience, func() bool {
		switch err := sp.lockRuns(owned); err {
		case nil:
			claimed = owned
		case unix.EAGAIN:
			return !f.hurry && sp.arrived(owned)
		}
		return true // or there are no such locks here
	})
	return func() { sp.unlockRuns(claimed) }
}

// lockRuns claims all chunks of runs, or none. The error is that of lockRange.
func (sp *Space) lockRuns(runs []run) error {
	for k, r := range runs {
		if err := lockRange(sp.marks, claimBase+int64(r.first), claimBase+int64(r.last)); err != nil {
			sp.unlockRuns(runs[:k])
			return err
		}
	}
	return nil
}

func (sp *Space) unlockRuns(runs []run) {
	for _, r := range runs {
		unlockRange(sp.marks, claimBase+int64(r.first), claimBase+int64(r.last))
	}
}

// arrived reports whether all chunks of runs seem to be present.
func (sp *Space) arrived(runs []run) bool {
	for _, r := range runs {
		for i := r.first; i < r.last; i++ {
			if !readMark(sp.marks, i).present() {
				return false
			}
		}
	}
	return true
}
