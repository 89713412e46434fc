package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A Memory keeps small things under keys, for a while. It is what spares a
// compressed archive from being unpacked to be opened again.
type Memory interface {
	Get(key string) ([]byte, error)
	Put(key string, b []byte) error
}

// learnt is what an archive must be read for: where its members are, and, of a
// compressed one, those that look like documents. Of all this only the members
// that Docker's manifest.json or the layout's index.json name are ever used,
// and of these, all but these two files themselves are verified like anything
// that is read.
type learnt struct {
	Size    int64             // of the archive, uncompressed
	Members map[string]member // by clean path; of equal names, the last
	Docs    map[string]string // contents of the documents among them
}

// maxDocs bounds the documents of one archive that are kept, in bytes.
const maxDocs = 4 * MaxDocument

// unpack sets up an archive that is compressed as a whole: from memory, if it
// is the same file as before, or else by unpacking it.
func (a *archive) unpack(ctx context.Context, f *os.File, c compression, o Options) error {
	u := newUnpacked(ctx, f, c, o.TempDir)
	a.at, a.close, a.packed, a.key = u, u.Close, true, a.id
	if a.recall(o.Memory) {
		u.size = a.Size
		return nil
	}
	size, err := u.measure()
	if err != nil {
		return err
	}
	a.Size, a.changed = size, true
	if err := a.scan(ctx); err != nil {
		return err
	}
	return a.look()
}

// look reads what is worth remembering of the members.
func (a *archive) look() error {
	a.Docs = make(map[string]string)
	total := int64(0)
	for name, m := range a.Members {
		if m.Link != "" || m.Odd != "" {
			continue
		}
		r := io.NewSectionReader(a.at, m.Off, m.Size)
		m.Kind = sniff(r)
		a.Members[name] = m
		if m.Size > MaxDocument || total+m.Size > maxDocs || !looksLikeJSON(r) {
			continue
		}
		body := make([]byte, m.Size)
		if _, err := io.ReadFull(r, body); err != nil {
			return fmt.Errorf("member %q: %w", clip(name), err)
		}
		total += m.Size
		a.Docs[name] = string(body)
	}
	return nil
}

// looksLikeJSON reports whether a file begins like an object or a list.
func looksLikeJSON(r io.ReaderAt) bool {
	var head [64]byte
	n, _ := r.ReadAt(head[:], 0)
	b := bytes.TrimLeft(head[:n], " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == '[')
}

// memoryKey names a file as it is now: a change of its contents changes it. ""
// if it cannot be told apart.
func memoryKey(f *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return ""
	}
	id := fmt.Sprintln(1, st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim) // 1: the version of learnt
	sum := sha256.Sum256([]byte(id))
	return "archive-sha256-" + hex.EncodeToString(sum[:])
}

// recall reads what was learnt of the file before. Whatever is wrong with that is no
// error, but a reason to learn it anew.
func (a *archive) recall(m Memory) bool {
	if m == nil || a.key == "" {
		return false
	}
	body, err := m.Get(a.key)
	if err != nil {
		return false
	}
	var l learnt
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&l); err != nil || !l.sound() {
		return false
	}
	a.learnt = l
	return true
}

// sound checks the bounds of what was remembered.
func (l *learnt) sound() bool {
	for name, m := range l.Members {
		body, doc := l.Docs[name]
		inside := m.Off >= 0 && m.Size >= 0 && m.Off <= l.Size && m.Size <= l.Size-m.Off
		if m.Link == "" && m.Odd == "" && !inside || doc && int64(len(body)) != m.Size {
			return false
		}
	}
	return l.Members != nil
}

// remember keeps what is known of a compressed archive, if that has grown.
// That it cannot be kept costs time when the archive is opened again.
func (a *archive) remember(m Memory) {
	if m == nil || a.key == "" || !a.changed {
		return
	}
	var b bytes.Buffer
	if gob.NewEncoder(&b).Encode(a.learnt) == nil && m.Put(a.key, b.Bytes()) == nil {
		a.changed = false
	}
}
