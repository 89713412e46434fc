package cache

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An object file is the object's bytes and a trailer: objectMagic (8 bytes)
// and the SHA-256 of the bytes before it, magic included (32 bytes).
const (
	objectMagic   = "ocifsob1"
	objectTrailer = len(objectMagic) + sha256.Size // 8 + 32
	maxObject     = 1 << 30
)

// Get returns the object of that key. The error is fs.ErrNotExist if there is
// none, or if it is damaged; then it is removed.
func (s *Store) Get(key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	f, err := s.objects.open(key, unix.O_RDONLY)
	if err != nil {
		if notFile(err) { // that something else is there is damage too
			s.objects.removeAll(key)
			err = fs.ErrNotExist
		}
		return nil, fmt.Errorf("cache: object %s: %w", key, err)
	}
	defer f.Close()
	b, err := readObject(f)
	if err != nil {
		s.objects.remove(key)
		s.tally.damaged.Add(1)
		return nil, fmt.Errorf("cache: object %s: %w (%w)", key, err, fs.ErrNotExist)
	}
	s.note(KindObject, key)
	// The modification time is the time of last use, to the hour.
	if st, err := f.Stat(); err == nil && time.Since(st.ModTime()).Abs() > time.Hour {
		s.objects.touch(key, time.Now())
	}
	return b, nil
}

// Peek is Get for who only looks: a damaged object is an ErrDamaged, and stays,
// and the time of last use is left as it is.
func (s *Store) Peek(key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	f, err := s.objects.open(key, unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("cache: object %s: %w", key, err)
	}
	defer f.Close()
	b, err := readObject(f)
	if err != nil {
		return nil, fmt.Errorf("cache: object %s: %w", key, err)
	}
	return b, nil
}

// readObject returns the bytes of an object file if its trailer is right.
func readObject(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < int64(objectTrailer) || st.Size() > maxObject+int64(objectTrailer) {
		return nil, fmt.Errorf("%w: %d bytes", ErrDamaged, st.Size())
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	n := len(b) - sha256.Size
	if sum := sha256.Sum256(b[:n]); string(sum[:]) != string(b[n:]) {
		return nil, fmt.Errorf("%w: checksum differs", ErrDamaged)
	}
	n -= len(objectMagic)
	if string(b[n:n+len(objectMagic)]) != objectMagic {
		return nil, fmt.Errorf("%w: not an object", ErrDamaged)
	}
	return b[:n:n], nil
}

// Put stores an object, in place of any other of that key. It is there whole
// or not at all.
func (s *Store) Put(key string, b []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(b) > maxObject {
		return fmt.Errorf("cache: object %s: %d bytes are too many: %w", key, len(b), fs.ErrInvalid)
	}
	if err := s.putIn(s.objects, key, b); err != nil {
		return fmt.Errorf("cache: object %s: %w", key, err)
	}
	s.note(KindObject, key)
	return nil
}

// putIn makes a file of that name in d, with b and a trailer, at once.
func (s *Store) putIn(d dir, name string, b []byte) error {
	f, temp, err := s.tempFile()
	if err != nil {
		return err
	}
	defer f.Close()
	err = writeObject(f, b)
	if err == nil {
		err = s.temp.move(temp, d, name)
	}
	if err != nil {
		s.temp.remove(temp)
		return err
	}
	s.wrote(len(b))
	return nil
}

func writeObject(w io.Writer, b []byte) error {
	h := sha256.New()
	h.Write(b)
	io.WriteString(h, objectMagic)
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := w.Write(h.Sum([]byte(objectMagic)))
	return err
}
