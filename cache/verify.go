package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"golang.org/x/sys/unix"
)

// A Check is what Verify has found of an entry.
type Check struct {
	Entry
	// Err is nil, or wraps ErrDamaged.
	Err error
	// Repaired: what was damaged is gone, and will be made again.
	Repaired bool
}

// Verify reads all that is in the store and reports what was found of each
// entry, pins among them. Nothing is changed, but with repair damaged objects,
// pins and decoding state are removed, and damaged chunks become absent; so what
// remains is right. Spaces may be open meanwhile. The error is that of ctx, or of
// the store's directory.
func (s *Store) Verify(ctx context.Context, repair bool, report func(Check)) error {
	all, err := s.Entries()
	if err != nil {
		return err
	}
	pins, err := s.pins.names()
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	for _, name := range pins {
		all = append(all, Entry{Kind: KindPin, Key: name, Bytes: s.pins.allocated(name)})
	}
	for _, e := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c := Check{Entry: e}
		switch e.Kind {
		case KindSpace:
			c.Repaired, c.Err = s.verifySpace(ctx, e.Key, repair)
		case KindPin:
			_, err := s.pin(e.Key)
			c.Repaired, c.Err = s.verified(s.pins, e.Key, err, repair)
		default:
			_, err := s.Peek(e.Key)
			c.Repaired, c.Err = s.verified(s.objects, e.Key, err, repair)
		}
		if errors.Is(c.Err, fs.ErrNotExist) && !errors.Is(c.Err, ErrDamaged) {
			continue // removed meanwhile
		}
		report(c)
	}
	return ctx.Err()
}

// verified removes a file for which reading it gave err, if that is damage and
// it is wanted.
func (s *Store) verified(in dir, name string, err error, repair bool) (repaired bool, _ error) {
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, errNotFile) && !errors.Is(err, unix.ELOOP) {
		return false, err
	}
	return repair && in.removeAll(name) == nil, joinDamaged(err)
}

func joinDamaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

func (s *Store) verifySpace(ctx context.Context, key string, repair bool) (repaired bool, _ error) {
	p, err := s.openPair(s.spaces, key, unix.LOCK_SH, lockWait)
	switch {
	case err == errTorn && repair:
		merr := s.mend(key, noTiling, 0)
		return merr == nil, errors.Join(joinDamaged(err), merr)
	case err == errTorn:
		return false, joinDamaged(err)
	case err == errMoved:
		return false, fs.ErrNotExist
	case err != nil:
		return false, err
	}
	defer p.close()
	bad, left := 0, 0
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	for i := 0; ctx.Err() == nil; i++ {
		b := x.marks[:markSize]
		if n, _ := p.marks.ReadAt(b, markOff(i)); n < markSize {
			break
		}
		if m := getMark(b, i); !m.present() || p.right(x, m) {
			continue
		}
		wrong, dropped := p.refute(x, i, repair)
		if wrong {
			bad++
		}
		if wrong && !dropped {
			left++
		}
	}
	if bad == 1 {
		err = fmt.Errorf("%w: 1 chunk", ErrDamaged)
	} else if bad > 0 {
		err = fmt.Errorf("%w: %d chunks", ErrDamaged, bad)
	}
	gone, auxErr := p.verifyAux(repair)
	err = errors.Join(err, auxErr)
	return err != nil && repair && left == 0 && (auxErr == nil || gone), err
}

// right reports whether the data is what a record says.
func (p *pair) right(x *scratch, m mark) bool {
	sum, end := uint32(0), m.off+int64(m.len)
	for at := m.off; at < end; {
		piece := x.data[:min(end-at, int64(len(x.data)))]
		if n, _ := p.data.ReadAt(piece, at); n < len(piece) {
			return false
		}
		sum = addSum(sum, piece)
		at += int64(len(piece))
	}
	return sum == m.crc
}

// refute says whether the data of chunk i is wrong while nobody changes it, and
// then makes the chunk absent, if that is wanted.
func (p *pair) refute(x *scratch, i int, repair bool) (wrong, dropped bool) {
	at := int64(storeBase) + int64(i)
	if err := lockRange(p.marks, at, at+1); err != nil {
		return err != unix.EAGAIN, false // in a read-only store there is no lock, nor a repair
	}
	defer unlockRange(p.marks, at, at+1)
	m := readMark(p.marks, i)
	if !m.present() || p.right(x, m) {
		return false, false
	}
	if !repair {
		return true, false
	}
	m.seq++
	if writeMark(p.marks, i, m) != nil {
		return true, false
	}
	punch(p.data, m.off, m.off+int64(m.len))
	return true, true
}

// verifyAux reads an aux file, and removes one that is damaged if that is
// wanted.
func (p *pair) verifyAux(repair bool) (repaired bool, err error) {
	a, err := openAux(p.dir)
	if err == nil {
		defer a.f.Close()
		_, err = io.Copy(io.Discard, io.NewSectionReader(a, 0, math.MaxInt64))
	}
	if errors.Is(err, ErrDamaged) {
		return repair && p.dir.remove("aux") == nil, fmt.Errorf("windows: %w", err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, err
}
