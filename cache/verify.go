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

// Verify reads all that is in the store and reports each entry with what was
// wrong with it: nil or an error that wraps ErrDamaged. Damaged objects and
// decoding state are removed, damaged chunks become absent; so what remains
// is right. Spaces may be open meanwhile. The error is that of ctx, or of the
// store's directory.
func (s *Store) Verify(ctx context.Context, report func(Entry, error)) error {
	all, err := s.Entries()
	if err != nil {
		return err
	}
	for _, e := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e.Kind == KindObject {
			_, err = s.Get(e.Key)
		} else {
			err = s.verifySpace(ctx, e.Key)
		}
		if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged) {
			continue // removed meanwhile
		}
		report(e, err)
	}
	return ctx.Err()
}

func (s *Store) verifySpace(ctx context.Context, key string) error {
	p, err := s.openPair(s.spaces, key, unix.LOCK_SH, lockWait)
	if err == errTorn {
		return errors.Join(fmt.Errorf("%w: %w", ErrDamaged, err), s.mend(key, noTiling, 0))
	}
	if err == errMoved {
		return fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	defer p.close()
	bad := 0
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	for i := 0; ctx.Err() == nil; i++ {
		b := x.marks[:markSize]
		if n, _ := p.marks.ReadAt(b, markOff(i)); n < markSize {
			break
		}
		if m := getMark(b, i); m.present() && !p.right(x, m) && p.refute(x, i) {
			bad++
		}
	}
	if bad > 0 {
		err = fmt.Errorf("%w: %d chunks", ErrDamaged, bad)
	}
	return errors.Join(err, p.verifyAux())
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

// refute makes chunk i absent, if its data is wrong while nobody changes it.
func (p *pair) refute(x *scratch, i int) bool {
	at := int64(storeBase) + int64(i)
	if err := lockRange(p.marks, at, at+1); err != nil {
		return err != unix.EAGAIN // in a read-only store there is no lock, nor a repair
	}
	defer unlockRange(p.marks, at, at+1)
	m := readMark(p.marks, i)
	if !m.present() || p.right(x, m) {
		return false
	}
	m.seq++
	if writeMark(p.marks, i, m) == nil {
		punch(p.data, m.off, m.off+int64(m.len))
	}
	return true
}

// verifyAux removes an aux file that is damaged.
func (p *pair) verifyAux() error {
	a, err := openAux(p.dir)
	if err == nil {
		defer a.f.Close()
		_, err = io.Copy(io.Discard, io.NewSectionReader(a, 0, math.MaxInt64))
	}
	if errors.Is(err, ErrDamaged) {
		p.dir.remove("aux")
		return fmt.Errorf("windows: %w", err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
