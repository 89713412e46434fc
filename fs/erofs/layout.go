package erofs

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

// ErrUnfit says that a tree has something that EROFS can't show as it is:
// extended attributes that are too large or that the kernel would show
// otherwise, contents of more than 16 TiB, or more files than maxImage takes.
var ErrUnfit = errors.New("EROFS cannot show this tree")

const (
	maxImage = 2 << 30   // bytes: some 15 million files
	maxData  = nullBlock // blocks of the device
)

// A Layout says where each file of a tree lies in its EROFS image. It is
// immutable and safe for concurrent use.
type Layout struct {
	tree       *tree.Tree
	nids       []uint32 // by node: the number of its inode
	inodeEnd   int64    // byte of the image behind the last inode's; whole blocks
	blocks     uint32   // of the image
	dataBlocks uint32   // of the device; at least one
}

// NewLayout lays out a tree. The error is an ErrUnfit.
func NewLayout(t *tree.Tree) (*Layout, error) {
	l := &Layout{tree: t, nids: make([]uint32, t.Len())}
	at := int64(metaBlock*blockSize + rootSlot*slotSize)
	blocks, data := int64(0), int64(0)
	for i := range l.nids {
		n := tree.Node(i)
		s, err := shapeOf(t, n)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", t.Path(n), err)
		}
		at = s.place(at)
		l.nids[n] = uint32((at - metaBlock*blockSize) / slotSize)
		at = align(at+s.length(), slotSize)
		blocks += s.blocks
		data += s.dataBlocks()
		if at+blocks*blockSize > maxImage {
			return nil, fmt.Errorf("%w: its names and attributes take more than %d GiB", ErrUnfit, maxImage>>30)
		}
		if data > maxData {
			return nil, fmt.Errorf("%w: its contents take 16 TiB", ErrUnfit)
		}
	}
	l.inodeEnd = align(at, blockSize)
	l.blocks = uint32(l.inodeEnd/blockSize + blocks)
	l.dataBlocks = uint32(max(data, 1))
	return l, nil
}

// Inode is the number that a node has in the image: where it lies there.
func (l *Layout) Inode(n tree.Node) uint64 { return uint64(l.nids[n]) }

// Size is the length of the image, in bytes.
func (l *Layout) Size() int64 { return int64(l.blocks) * blockSize }

// A shape is what lies where of one inode.
type shape struct {
	mode      uint32
	size      int64 // i_size
	layout    uint16
	xattrs    int   // bytes that follow the inode
	tail      int64 // bytes that follow these: inline data, or a map of chunks and what aligns it
	blocks    int64 // of the image, elsewhere
	chunkBits uint  // of a regular file: the size of a chunk, in blocks, is 1 << chunkBits
}

func shapeOf(t *tree.Tree, n tree.Node) (s shape, err error) {
	a := t.Attr(n)
	s.mode, s.size = a.Mode, a.Size
	if s.xattrs, err = xattrSize(t.Xattrs(n)); err != nil {
		return s, err
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		s.size = dirSize(t, n)
		s.inline()
	case unix.S_IFLNK:
		s.inline()
	case unix.S_IFREG:
		if s.blocksOf() > maxData {
			return s, fmt.Errorf("%w: %d bytes", ErrUnfit, s.size)
		}
		if s.size > 0 {
			s.chunk(t.Data(n).Extents != nil)
		}
	}
	return s, nil
}

// inline has as much of the data follow the inode as may.
func (s *shape) inline() {
	s.layout, s.tail, s.blocks = flatInline, s.size%blockSize, s.size/blockSize
	if !s.fits(0) {
		s.layout, s.tail, s.blocks = flatPlain, 0, s.blocksOf()
	}
	if s.tail == 0 {
		s.layout = flatPlain
	}
}

// blocksOf is how many blocks the content takes.
func (s *shape) blocksOf() int64 { return (s.size-1)>>blockBits + 1 }

// dataBlocks is how many blocks it takes of the device.
func (s *shape) dataBlocks() int64 {
	if s.mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	return s.blocksOf()
}

// maxChunks bounds the map of a sparse file, whose chunks are the larger for it:
// 256 KiB, so that holes are told by the block up to 128 MiB.
const maxChunks = 1 << 15

// maxChunkBits is what the format has room for: chunks of 8 TiB.
const maxChunkBits = 31

// chunk cuts a regular file into chunks: one, unless some may be holes.
func (s *shape) chunk(sparse bool) {
	most := uint64(1)
	if sparse {
		most = maxChunks
	}
	s.layout = chunkBased
	s.chunkBits = uint(min(bits.Len64(uint64(s.blocksOf()-1)/most), maxChunkBits))
	s.tail = int64(align(s.xattrs, chunkEntry)-s.xattrs) + chunkEntry*s.chunks()
}

// chunks is how many there are of a regular file.
func (s *shape) chunks() int64 { return (s.blocksOf()-1)>>s.chunkBits + 1 }

// length is how many bytes the inode takes, with all that follows it.
func (s *shape) length() int64 { return inodeSize + int64(s.xattrs) + s.tail }

// fits says whether the inode may lie at a byte of the image: neither it nor what
// is inline may go over the end of a block.
func (s *shape) fits(at int64) bool {
	if at%blockSize+inodeSize > blockSize {
		return false
	}
	if s.layout != flatInline {
		return true
	}
	return (at+inodeSize+int64(s.xattrs))%blockSize+s.tail <= blockSize
}

// place is where the inode lies if that is to be at a byte or behind.
func (s *shape) place(at int64) int64 {
	if !s.fits(at) {
		return align(at, blockSize)
	}
	return at
}

// holes says which chunks of a regular file are nothing but holes.
func (s *shape) holes(data []index.Extent) []bool {
	holes := make([]bool, s.chunks())
	if data == nil {
		return holes
	}
	chunk := int64(blockSize) << s.chunkBits
	for i := range holes {
		holes[i] = true
	}
	for _, x := range data {
		for i := x.Off / chunk; x.Len > 0 && i <= (x.Off+x.Len-1)/chunk; i++ {
			holes[i] = false
		}
	}
	return holes
}
