package cache

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An Item names an object or a space.
type Item struct {
	Kind Kind   `json:"kind"`
	Key  string `json:"key"`
}

// A Pin keeps items where they are: Trim passes them by, whoever runs it, and
// Entry.Pinned tells those who choose what to Remove. Items need not be there.
// It is kept in pins/NAME, as an object is: JSON and a trailer.
type Pin struct {
	Name  string    `json:"name"`           // a key
	Note  []byte    `json:"note,omitempty"` // whatever who made it wants to find again
	Made  time.Time `json:"made"`
	Items []Item    `json:"items"`
}

// Used is what has been read from the store, written to it or opened through s
// since it was opened, in order. What somebody did once with s he can do again
// if these are there.
func (s *Store) Used() (all []Item) {
	s.used.Range(func(k, _ any) bool {
		all = append(all, k.(Item))
		return true
	})
	sortItems(all)
	return all
}

func sortItems(all []Item) {
	slices.SortFunc(all, func(a, b Item) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Key, b.Key))
	})
}

func (s *Store) note(kind Kind, key string) { s.used.Store(Item{kind, key}, nil) }

// Pin keeps p, in place of any of that name. When it returns, nobody evicts any
// more who doesn't know of it.
func (s *Store) Pin(p Pin) error {
	err := checkKey(p.Name)
	for _, i := range p.Items {
		if err == nil {
			err = checkKey(i.Key)
		}
	}
	if err != nil {
		return err
	}
	p.Items = slices.Clone(p.Items)
	sortItems(p.Items)
	p.Items = slices.Compact(p.Items)
	b, err := json.Marshal(p)
	if err == nil && len(b) > maxObject {
		err = fs.ErrInvalid
	}
	if err == nil {
		err = s.putIn(s.pins, p.Name, b)
	}
	if err != nil {
		return fmt.Errorf("cache: pin %s: %w", p.Name, err)
	}
	turn, err := s.evictorsTurn(s.stopped, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("cache: pin %s: %w", p.Name, err)
	}
	return turn.Close()
}

// Unpin removes the pin of that name. The error is fs.ErrNotExist if there is
// none.
func (s *Store) Unpin(name string) error {
	if err := checkKey(name); err != nil {
		return err
	}
	if err := s.pins.remove(name); err != nil {
		return fmt.Errorf("cache: unpin %s: %w", name, err)
	}
	return nil
}

// Pins lists the pins, by name. One that is damaged is left out, and keeps
// nothing: Verify tells of it.
func (s *Store) Pins() ([]Pin, error) {
	names, err := s.pins.names()
	if err != nil {
		return nil, fmt.Errorf("cache: pins: %w", err)
	}
	slices.Sort(names)
	var all []Pin
	for _, n := range names {
		if p, err := s.pin(n); err == nil {
			all = append(all, p)
		}
	}
	return all, nil
}

func (s *Store) pin(name string) (p Pin, err error) {
	if err := checkKey(name); err != nil {
		return p, err
	}
	f, err := s.pins.open(name, unix.O_RDONLY)
	if err != nil {
		return p, err
	}
	defer f.Close()
	b, err := readObject(f)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err == nil && p.Name != name {
		err = fmt.Errorf("%w: it is another one's", ErrDamaged)
	}
	return p, err
}

// pinned is what all pins keep.
func (s *Store) pinned() map[Item]bool {
	kept := map[Item]bool{}
	pins, _ := s.Pins()
	for _, p := range pins {
		for _, i := range p.Items {
			kept[i] = true
		}
	}
	return kept
}

// evictorsTurn is held by who evicts, and by nobody else for long. The error is
// that of the directory; that it can't be had in time is none.
func (s *Store) evictorsTurn(ctx context.Context, wait time.Duration) (dir, error) {
	turn, err := s.spaces.sub(".")
	if err == nil {
		poll(ctx, 5*time.Millisecond, wait, func() bool { return flock(turn.File, unix.LOCK_EX) })
	}
	return turn, err
}
