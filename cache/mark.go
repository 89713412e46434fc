package cache

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
)

// The marks file is a header (pair.go) and, for chunk i, a record at byte
// (i+1)*markSize. Little endian:
//
//	 0  u64  off   where the chunk begins in the decoded space
//	 8  u32  len   its length
//	12  u32  crc   CRC-32C of its bytes
//	16  u32  sum   CRC-32C of i as a u64 and of bytes 0 to 16
//	20  u32  seq   odd: present; even: not
//	24  u32  used  time of last use, in seconds since 1970, late by up to a minute
//	28  u32  0
//
// A record that lies beyond the file's end, or whose sum is wrong, is absent.
// All but used is written under the chunk's store lock. seq and used are
// changed alone, in place, by one aligned write each.
const (
	markSize = 32
	markSum  = 16
	markSeq  = 20
	markUsed = 24
)

// stampEvery is how stale used may become, in seconds.
const stampEvery = 60

// A mark is a record of the marks file.
type mark struct {
	off  int64
	len  uint32
	crc  uint32
	seq  uint32
	used uint32
	ok   bool // it is a record, present or not
}

func (m mark) present() bool { return m.ok && m.seq&1 == 1 }

// covers reports whether m says that chunk [start, end) is present.
func (m mark) covers(start, end int64) bool {
	return m.present() && m.off == start && int64(m.len) == end-start
}

// filled is the seq to follow m's when the chunk becomes present. A record
// that isn't one may once have been one, that others remember: hence a random
// number, not 1.
func (m mark) filled() uint32 {
	switch {
	case !m.ok:
		return rand.Uint32() | 1
	case m.present():
		return m.seq + 2
	}
	return m.seq + 1
}

func (m mark) put(b []byte, i int) {
	le := binary.LittleEndian
	clear(b[:markSize])
	le.PutUint64(b, uint64(m.off))
	le.PutUint32(b[8:], m.len)
	le.PutUint32(b[12:], m.crc)
	le.PutUint32(b[markSum:], sumMark(b, i))
	le.PutUint32(b[markSeq:], m.seq)
	le.PutUint32(b[markUsed:], m.used)
}

func getMark(b []byte, i int) mark {
	le := binary.LittleEndian
	m := mark{
		off:  int64(le.Uint64(b)),
		len:  le.Uint32(b[8:]),
		crc:  le.Uint32(b[12:]),
		seq:  le.Uint32(b[markSeq:]),
		used: le.Uint32(b[markUsed:]),
	}
	m.ok = m.len > 0 && m.off >= 0 && le.Uint32(b[markSum:]) == sumMark(b, i)
	return m
}

func sumMark(b []byte, i int) uint32 {
	var x [8 + markSum]byte
	binary.LittleEndian.PutUint64(x[:], uint64(i))
	copy(x[8:], b[:markSum])
	return sumOf(x[:])
}

// sumOf is the CRC-32C of b; the processor computes it.
func sumOf(b []byte) uint32 { return addSum(0, b) }

// addSum extends a CRC-32C by b.
func addSum(sum uint32, b []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), b)
}

func markOff(i int) int64 { return int64(i+1) * markSize }

// readMarks reads the records of the chunks from first on into b. What
// cannot be read is absent.
func readMarks(f *os.File, b []byte, first int) {
	n, _ := f.ReadAt(b, markOff(first))
	clear(b[n:])
}

// readMark reads one record.
func readMark(f *os.File, i int) mark {
	var b [markSize]byte
	readMarks(f, b[:], i)
	return getMark(b[:], i)
}

func writeMark(f io.WriterAt, i int, m mark) error {
	var b [markSize]byte
	m.put(b[:], i)
	_, err := f.WriteAt(b[:], markOff(i))
	return err
}
