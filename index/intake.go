package index

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
)

// intake is the last stage of a pass: it hashes the decoded space, writes down
// the chain's states, keeps the chunks and scans the archive in them.
type intake struct {
	b      *builder
	pipe   *pipe
	sha    hash.Hash       // the chain
	other  digest.Digester // the diffID's, where it isn't SHA-256
	last   []byte          // the chunk being scanned
	window []byte          // the one being kept
	delta  delta
}

func newIntake(b *builder, p *pipe) *intake {
	k := &intake{b: b, pipe: p, sha: sha256.New()}
	if diffID := b.o.DiffID; diffID != "" && diffID.Algorithm() != digest.SHA256 {
		k.other = diffID.Algorithm().Digester()
	}
	return k
}

// run takes in all there is, and completes the TOC but for the blob's part.
func (k *intake) run() error {
	t, s := k.b.toc, k.b.stream
	var err error
	if t.format != Raw {
		err = scan(&spaceReader{next: k.next}, k.b.o.Limits, func(e *Entry) error {
			t.entries = appendEntry(t.entries, e, &k.delta)
			t.nentries++
			return nil
		})
	}
	for err == nil { // what lies behind the archive's end
		_, err = k.next()
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	sum := k.sha.Sum(nil)
	if n := s.Len(); n > 0 {
		s.chain = append(s.chain[:(n-1)*stateSize], sum...)
	}
	t.size = s.size
	t.diffID = digest.NewDigestFromBytes(digest.SHA256, sum)
	if k.other != nil {
		t.diffID = k.other.Digest()
	}
	return nil
}

// next takes in one chunk and returns it.
func (k *intake) next() ([]byte, error) {
	if k.last != nil {
		k.pipe.free <- k.last[:ChunkSize]
		k.last = nil
	}
	p, err := k.pipe.next()
	if err != nil {
		return nil, err
	}
	k.last = p.chunk
	if err := k.take(p); err != nil {
		return nil, err
	}
	return p.chunk, nil
}

func (k *intake) take(p piece) error {
	if err := k.keepPoints(p.marks); err != nil || len(p.chunk) == 0 {
		return err
	}
	s := k.b.stream
	i, off := int(s.size/ChunkSize), s.size
	s.size += int64(len(p.chunk))
	if err := k.b.o.Limits.decoded(s.size, k.b.in.n.Load()); err != nil {
		return err
	}
	k.sha.Write(p.chunk)
	if k.other != nil {
		k.other.Hash().Write(p.chunk)
	}
	state := make([]byte, stateSize) // the last chunk's, not at a block's end: run puts the digest here
	if len(p.chunk) == ChunkSize {
		var err error
		if state, err = stateOf(state[:0], k.sha); err != nil {
			return err
		}
	}
	s.chain = append(s.chain, state...)
	return k.b.sink.Chunk(i, off, p.chunk)
}

func (k *intake) keepPoints(marks []mark) error {
	s := k.b.stream
	for _, m := range marks {
		k.window = k.window[:0]
		if m.state != nil {
			k.window = m.state.Append(k.window)
		}
		if len(k.window) > 0 && !s.affords(m, int64(len(k.window))) {
			continue
		}
		s.points = append(s.points, point{m.out, m.bit, s.windows, uint32(len(k.window))})
		s.windows += int64(len(k.window))
		if len(k.window) > 0 {
			if err := k.b.sink.Window(k.window); err != nil {
				return err
			}
		}
	}
	return nil
}
