package cache

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Byte ranges of the marks file that are locked, chunk i at base+i. They lie
// beyond any record: 2^61 / 32 bytes are more chunks than an int64 of data.
const (
	claimBase = 1 << 61
	storeBase = 1 << 62
)

// flock takes a lock of the given kind on f, without waiting. It reports
// false if another holds it.
func flock(f *os.File, kind int) bool {
	for {
		err := unix.Flock(int(f.Fd()), kind|unix.LOCK_NB)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// lockRange takes an exclusive lock on bytes [from, to) of f for f's open
// file description, without waiting. The error is EAGAIN if another
// description holds part of it.
func lockRange(f *os.File, from, to int64) error {
	return setRange(f, unix.F_WRLCK, from, to)
}

func unlockRange(f *os.File, from, to int64) {
	setRange(f, unix.F_UNLCK, from, to)
}

func setRange(f *os.File, kind int16, from, to int64) error {
	l := unix.Flock_t{Type: kind, Whence: unix.SEEK_SET, Start: from, Len: to - from}
	for {
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l)
		if err == unix.EACCES {
			err = unix.EAGAIN
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// poll calls try, with pauses that grow from first to fifty times that, until
// it returns true, ctx ends, or limit has passed. It reports whether try did.
func poll(ctx context.Context, first, limit time.Duration, try func() bool) bool {
	end := time.Now().Add(limit)
	for pause := first; !try(); pause = min(2*pause, 50*first) {
		if time.Now().After(end) || sleep(ctx, pause) != nil {
			return false
		}
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lock waits until no other holder, in this process or another, has the lock
// of that key, and takes it; unlock gives it back, and may be called twice. A
// holder that dies gives it back too. Lock guards nothing by itself: it is for
// those who want to do some work once, like the pass over a layer. Where the
// store cannot be written to, the lock is granted at once. The error is that
// of ctx, or says that the key is not one.
func (s *Store) Lock(ctx context.Context, key string) (unlock func(), err error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	var f *os.File
	if !poll(ctx, time.Millisecond, math.MaxInt64, func() bool {
		var done bool
		f, done = s.tryLock(key)
		return done
	}) {
		return nil, fmt.Errorf("cache: lock %s: %w", key, context.Cause(ctx))
	}
	if f == nil {
		return func() {}, nil
	}
	return func() {
		if s.locks.holds(key, f) { // not after unlock, nor if deleted meanwhile
			s.locks.remove(key)
		}
		f.Close()
	}, nil
}

// tryLock returns the locked file; no file and true if there can be none.
func (s *Store) tryLock(key string) (*os.File, bool) {
	f, err := s.locks.open(key, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, true
	}
	// Whoever unlocks deletes the file first: make sure it is still the one.
	if flock(f, unix.LOCK_EX) && s.locks.holds(key, f) {
		return f, true
	}
	f.Close()
	return nil, false
}
