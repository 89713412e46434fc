package cache

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrDamaged is the error of reading what is not as it was written and can't
// be made again from here: decoding state (Space.Aux). Remove the space and
// build it again.
var ErrDamaged = errors.New("damaged")

// An aux file is the bytes of all windows, one after another; the CRC-32C (u32)
// of each auxBlock of them, the last one shorter; and a trailer of 24 bytes:
// auxMagic (8 bytes), the number of bytes (u64), the CRC-32C of all CRCs
// (u32) and of the trailer so far (u32). Little endian.
const (
	auxMagic   = "ocifsax1"
	auxBlock   = 16 << 10
	auxTrailer = 24 // 8 + 8 + 4 + 4
	maxAuxSums = 256 << 20 / 4
)

// An aux reads an aux file.
type aux struct {
	f    *os.File
	size int64
	sums []byte
}

func openAux(d dir) (*aux, error) {
	f, err := d.open("aux", unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	a := &aux{f: f}
	if err := a.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w (%w)", err, fs.ErrNotExist)
	}
	return a, nil
}

func (a *aux) load() error {
	st, err := a.f.Stat()
	if err != nil {
		return err
	}
	var t [auxTrailer]byte
	at := st.Size() - auxTrailer
	if _, err := a.f.ReadAt(t[:], at); err != nil || string(t[:8]) != auxMagic {
		return ErrDamaged
	}
	le := binary.LittleEndian
	a.size = int64(le.Uint64(t[8:]))
	blocks := (at - a.size + 3) / 4
	if sumOf(t[:20]) != le.Uint32(t[20:]) || a.size < 0 || a.size > at ||
		blocks > maxAuxSums || blocks != (a.size+auxBlock-1)/auxBlock {
		return ErrDamaged
	}
	a.sums = make([]byte, 4*blocks)
	if _, err := a.f.ReadAt(a.sums, a.size); err != nil || sumOf(a.sums) != le.Uint32(t[16:]) {
		return ErrDamaged
	}
	return nil
}

// ReadAt reads whole blocks and checks each.
func (a *aux) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	var block [auxBlock]byte
	for n < len(p) {
		if off >= a.size {
			return n, io.EOF
		}
		start := off / auxBlock * auxBlock
		b := block[:min(auxBlock, a.size-start)]
		if _, err := a.f.ReadAt(b, start); err == io.EOF {
			return n, ErrDamaged
		} else if err != nil {
			return n, err
		}
		if sumOf(b) != binary.LittleEndian.Uint32(a.sums[start/auxBlock*4:]) {
			return n, ErrDamaged
		}
		c := copy(p[n:], b[off-start:])
		n, off = n+c, off+int64(c)
	}
	return n, nil
}

// An auxWriter writes an aux file.
type auxWriter struct {
	w    *bufio.Writer
	size int64
	sum  uint32 // of the block under way
	sums []byte
}

func newAuxWriter(f io.Writer) *auxWriter { return &auxWriter{w: bufio.NewWriterSize(f, 64<<10)} }

func (a *auxWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(int64(len(p)), int64(n)+auxBlock-a.size%auxBlock)]
		if _, err := a.w.Write(part); err != nil {
			return n, err
		}
		a.sum = addSum(a.sum, part)
		n += len(part)
		if a.size += int64(len(part)); a.size%auxBlock == 0 {
			a.endBlock()
		}
	}
	return n, nil
}

func (a *auxWriter) endBlock() {
	a.sums = binary.LittleEndian.AppendUint32(a.sums, a.sum)
	a.sum = 0
}

// finish writes what follows the windows.
func (a *auxWriter) finish() error {
	if a.size%auxBlock != 0 {
		a.endBlock()
	}
	t := binary.LittleEndian.AppendUint64([]byte(auxMagic), uint64(a.size))
	t = binary.LittleEndian.AppendUint32(t, sumOf(a.sums))
	t = binary.LittleEndian.AppendUint32(t, sumOf(t))
	a.w.Write(a.sums)
	a.w.Write(t)
	return a.w.Flush()
}
