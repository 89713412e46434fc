package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// gunzip decodes a gzip blob (RFC 1952), member after member, in a loop: some
// writers make a member per file. Every chunk's start becomes a point, or every so
// many, as far as the stream affords it.
//
// The digests vouch for the bytes; still, a member's checksum and length are
// checked, as every unpacker does. What follows the last member, and isn't
// another one, is ignored with a warning: zeros, which some writers pad with,
// and anything else, for Docker and containerd ignore it too, and the blob's
// digest covers it.
type gunzip struct {
	d    *inflate.Decoder
	in   *inflate.Input
	warn func(string)

	member  member
	members int
	marks   marks
}

// A member is the one being decoded.
type member struct {
	open    bool
	partial bool // decoding began in the middle: there is nothing to check
	crc     uint32
	size    uint32 // modulo 2³², as it is stored
}

// newGunzip decodes r from its first member on, with points that are span bytes
// apart.
func newGunzip(r io.Reader, span int64, warn func(string)) *gunzip {
	d := inflate.NewDecoder(r)
	g := &gunzip{d: d, in: d.Input(), warn: warn}
	d.Every(min(max(span, ChunkSize), MaxSpan), func(c *inflate.Checkpoint) {
		g.marks = append(g.marks, mark{c.Out, c.Bit, c})
	})
	return g
}

// resumeGunzip decodes from a point on: state is what was kept for it, and r
// begins with the byte that the point lies in.
func resumeGunzip(r io.Reader, state []byte) (*gunzip, error) {
	d := new(inflate.Decoder)
	if err := d.Resume(r, state); err != nil {
		return nil, &FormatError{Format: Gzip, Err: err}
	}
	return &gunzip{d: d, in: d.Input(), warn: func(string) {}, members: 1, member: member{open: true, partial: true}}, nil
}

func (g *gunzip) Read(p []byte) (int, error) {
	for {
		if !g.member.open {
			if err := g.begin(); err != nil {
				return 0, err
			}
		}
		n, err := g.d.Read(p)
		g.member.crc = crc32.Update(g.member.crc, crc32.IEEETable, p[:n])
		g.member.size += uint32(n)
		if err == io.EOF {
			err = g.end()
		}
		if n > 0 || err != nil {
			return n, g.fault(err)
		}
	}
}

// off is the position in the blob, in bytes.
func (g *gunzip) off() int64 {
	bits, _ := g.d.Pos()
	return bits / 8
}

// begin reads the next member's header; io.EOF says that there is none.
func (g *gunzip) begin() error {
	off := g.off()
	var head [10]byte
	n, err := io.ReadFull(g.in, head[:])
	switch {
	case n == 0 && err == io.EOF && g.members > 0:
		return io.EOF
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
	case err != nil:
		return err
	}
	if n < 2 || head[0] != magicGzip[0] || head[1] != magicGzip[1] {
		if g.members > 0 {
			g.warn(fmt.Sprintf("gzip: bytes that are no member follow the last one, at %d of the layer", off))
			return io.EOF
		}
		return &FormatError{Format: Gzip, Off: off, Err: errors.New("no member begins here")}
	}
	if err != nil {
		return &FormatError{Format: Gzip, Off: off, Err: errTruncated}
	}
	if err := g.header(head[:]); err != nil {
		return g.fault(err)
	}
	if g.members > 0 {
		g.d.Restart()
	}
	g.members++
	g.member = member{open: true}
	return nil
}

// The flags of a member's header, and the only compression method there is.
const (
	flagHeaderCRC = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
	flagReserved  = 0xe0
	methodDeflate = 8
)

// maxText bounds a member's file name and its comment, which end in a NUL.
const maxText = 1 << 16

var (
	errHeader   = errors.New("a damaged header")
	errChecksum = errors.New("a member does not match its checksum")
)

// header reads the rest of a member's header, of which head is the fixed part.
func (g *gunzip) header(head []byte) error {
	flags := head[3]
	if head[2] != methodDeflate || flags&flagReserved != 0 {
		return errHeader
	}
	crc := crc32.ChecksumIEEE(head)
	take := func(n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(g.in, b)
		crc = crc32.Update(crc, crc32.IEEETable, b)
		return b, noEOF(err)
	}
	if flags&flagExtra != 0 {
		b, err := take(2)
		if err == nil {
			_, err = take(int(binary.LittleEndian.Uint16(b)))
		}
		if err != nil {
			return err
		}
	}
	for _, f := range []byte{flagName, flagComment} {
		if flags&f == 0 {
			continue
		}
		for n := 0; ; n++ {
			b, err := take(1)
			if err != nil {
				return err
			}
			if b[0] == 0 {
				break
			}
			if n == maxText {
				return errHeader
			}
		}
	}
	if flags&flagHeaderCRC != 0 {
		want := uint16(crc)
		if b, err := take(2); err != nil {
			return err
		} else if binary.LittleEndian.Uint16(b) != want {
			return errHeader
		}
	}
	return nil
}

// end reads a member's trailer and checks the member against it.
func (g *gunzip) end() error {
	var b [8]byte
	if _, err := io.ReadFull(g.in, b[:]); err != nil {
		return noEOF(err)
	}
	m := g.member
	g.member = member{}
	if !m.partial && (binary.LittleEndian.Uint32(b[:]) != m.crc || binary.LittleEndian.Uint32(b[4:]) != m.size) {
		return errChecksum
	}
	return nil
}

// noEOF makes an end of the blob that comes too early an error.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fault tells apart what the blob is to blame for.
func (g *gunzip) fault(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var corrupt *inflate.CorruptError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errTruncated
	case errors.As(err, &corrupt), errors.Is(err, errHeader), errors.Is(err, errChecksum):
	default:
		return err
	}
	return &FormatError{Format: Gzip, Off: g.off(), Err: err}
}

func (g *gunzip) found() []mark { return g.marks.take() }

func (g *gunzip) close() {}
