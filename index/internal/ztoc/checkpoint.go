package ztoc

import (
	"fmt"
	"math"
)

// Window is the length of a checkpoint's window: as far back as a match in
// DEFLATE can reach.
const Window = 32 << 10

// A Checkpoint is where a span of a gzip layer begins: between two DEFLATE
// blocks, or behind the header of a member.
type Checkpoint struct {
	In   int64 // in the layer: the first byte that belongs to the span wholly
	Bits uint8 // how many of the highest bits of the byte before belong to it, too
	Out  int64 // in the decoded space

	// Window is the decoded space before Out: Window bytes, and zeros where
	// it hasn't got as many.
	Window []byte
}

// Bit is where in the layer the span begins, in bits.
func (c *Checkpoint) Bit() int64 { return 8*c.In - int64(c.Bits) }

// The blob that Checkpoints reads is packed: a head of 12 bytes,
//
//	int32  number of checkpoints
//	int64  the least length of a span in the decoded space, as asked for
//
// and for each checkpoint 32,785 bytes,
//
//	int64  In
//	int64  Out
//	uint8  Bits
//	bytes  Window
//
// little endian. In the first version of the format the first checkpoint was
// left out, for it was held to be the same always.
const (
	checkpointsTop = size32 + size64              // 12
	checkpointSize = size64 + size64 + 1 + Window // 32,785
	oldFirst       = 10                           // In of what was left out: behind a header with no optional field
)

// Checkpoints reads the checkpoints of a gzip layer of size bytes. They share
// their windows with blob. They lie within the layer, and none before another
// in either space; but two can be at the same place. The error is ErrInvalid.
func Checkpoints(blob []byte, size int64) ([]Checkpoint, error) {
	if len(blob) < checkpointsTop {
		return nil, fmt.Errorf("%w: checkpoints in %d bytes", ErrInvalid, len(blob))
	}
	n, b := int64(int32(le.Uint32(blob))), blob[checkpointsTop:]
	stored := int64(len(b) / checkpointSize)
	if len(b)%checkpointSize != 0 || n < 1 || stored != n && stored != n-1 {
		return nil, fmt.Errorf("%w: %d checkpoints in %d bytes", ErrInvalid, n, len(blob))
	}
	points := make([]Checkpoint, 0, n)
	if stored < n {
		points = append(points, Checkpoint{In: oldFirst, Window: make([]byte, Window)})
	}
	for ; len(b) > 0; b = b[checkpointSize:] {
		points = append(points, Checkpoint{
			In:     int64(le.Uint64(b)),
			Out:    int64(le.Uint64(b[size64:])),
			Bits:   b[2*size64],
			Window: b[checkpointSize-Window : checkpointSize : checkpointSize],
		})
	}
	return points, check(points, size)
}

func check(points []Checkpoint, size int64) error {
	last := new(Checkpoint)
	for i := range points {
		p := &points[i]
		if p.Bits > 7 || p.In < 1 || p.In > min(size, math.MaxInt64/8) || p.Bit() < last.Bit() || p.Out < last.Out || i == 0 && p.Out != 0 {
			return fmt.Errorf("%w: checkpoint %d", ErrInvalid, i)
		}
		last = p
	}
	return nil
}

// AppendCheckpoint adds c to a blob of checkpoints that are to be at least span
// apart, which may be empty. A window shorter than Window gets zeros in front.
func AppendCheckpoint(b []byte, span int64, c *Checkpoint) []byte {
	if len(b) == 0 {
		b = le.AppendUint64(le.AppendUint32(b, 0), uint64(span))
	}
	b = le.AppendUint64(b, uint64(c.In))
	b = le.AppendUint64(b, uint64(c.Out))
	b = append(b, c.Bits)
	b = append(b, make([]byte, Window-len(c.Window))...)
	b = append(b, c.Window...)
	n := (len(b) - checkpointsTop) / checkpointSize
	le.PutUint32(b, uint32(n))
	return b
}

// A Grid is how spans tile an uncompressed layer: all are Span bytes long but
// the last, which is what is left.
type Grid struct {
	Span int64
	Size int64 // of the layer
}

// Of a Grid there is a FlatBuffers buffer:
//
//	table TarZinfo { version: int; span_size, size: long; }
const (
	gridVersion, gridSpan, gridSize = 0, 1, 2
	gridFields                      = 3

	gridIs = 2 // the version
)

// ParseGrid reads a Grid. The error is ErrInvalid.
func ParseGrid(blob []byte) (Grid, error) {
	f := &flat{s: string(blob)}
	t := f.table(f.follow(0))
	g := Grid{Span: t.int64(gridSpan), Size: t.int64(gridSize)}
	if f.bad || g.Span <= 0 || g.Size < 0 || g.Size > math.MaxInt64-g.Span {
		return Grid{}, fmt.Errorf("%w: spans of an uncompressed layer", ErrInvalid)
	}
	return g, nil
}

// Marshal is what ParseGrid reads.
func (g Grid) Marshal() []byte {
	b := &builder{most: 1, vtables: make(map[string]int)}
	b.table(gridFields)
	b.number(gridVersion, size32, gridIs)
	b.int64(gridSpan, g.Span)
	b.int64(gridSize, g.Size)
	return b.finish(b.end())
}

// Len is the number of spans.
func (g Grid) Len() int64 { return (g.Size + g.Span - 1) / g.Span }
