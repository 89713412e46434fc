package index

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
)

// The chunks of a stream are verified by the stream's own SHA-256, at no cost
// of its own. SHA-256 is a chain: a compression function takes the state and
// the next 64 bytes to the next state, and the digest is the last state after
// padding. The pass that hashes a layer for its diffID writes down the state
// at every chunk's end. Chunk i is right if its bytes take state i-1 to state
// i: to find other bytes that do is to find a second preimage of the
// compression function, the same problem as forging a digest. The last chunk
// is checked against the digest of the whole. And as each link begins where
// the one before ended, chunks that were each verified, in whatever order,
// have together proved the diffID.

// stateSize is the length of a state in the chain: SHA-256's eight words.
const stateSize = sha256.Size

// Go's marshaled SHA-256 state, promised to stay readable by package hash:
// magic, eight big-endian words, the bytes of an unfinished block (none at a
// chunk's end, so zeros), and the length so far.
const (
	shaMagic = "sha\x03"
	shaLen   = len(shaMagic) + sha256.Size + sha256.BlockSize + 8
)

// stateOf appends the chain's state at h's position to b: h has hashed a whole
// number of blocks.
func stateOf(b []byte, h hash.Hash) ([]byte, error) {
	m, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil || len(m) != shaLen || string(m[:len(shaMagic)]) != shaMagic {
		return nil, fmt.Errorf("index: unknown SHA-256 state of %d bytes: %v", len(m), err)
	}
	return append(b, m[len(shaMagic):len(shaMagic)+stateSize]...), nil
}

// resume is a SHA-256 that has hashed n bytes, a whole number of blocks, and
// stands at state.
func resume(state []byte, n int64) (hash.Hash, error) {
	h := sha256.New()
	if n == 0 {
		return h, nil
	}
	m := make([]byte, 0, shaLen)
	m = append(m, shaMagic...)
	m = append(m, state...)
	m = append(m, make([]byte, sha256.BlockSize)...)
	m = binary.BigEndian.AppendUint64(m, uint64(n))
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(m); err != nil {
		return nil, fmt.Errorf("index: SHA-256 state: %w", err)
	}
	return h, nil
}

// state is the chain's state after chunk i; after the last, the digest.
func (s *stream) state(i int) []byte { return s.chain[i*stateSize : (i+1)*stateSize] }

// verify says whether p is chunk i.
func (s *stream) verify(i int, p []byte) error {
	start, end := s.Bounds(i)
	if int64(len(p)) != end-start {
		return &ChunkError{Chunk: i}
	}
	var before []byte
	if i > 0 {
		before = s.state(i - 1)
	}
	h, err := resume(before, start)
	if err != nil {
		return err
	}
	h.Write(p)
	var got []byte
	if i == s.Len()-1 {
		got = h.Sum(nil)
	} else if got, err = stateOf(nil, h); err != nil {
		return err
	}
	if string(got) != string(s.state(i)) {
		return &ChunkError{Chunk: i}
	}
	return nil
}
