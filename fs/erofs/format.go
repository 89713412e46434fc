package erofs

import "encoding/binary"

// Sizes and places of the format. Numbers are little-endian.
const (
	blockBits = 12
	blockSize = 1 << blockBits // st_blksize; larger than the kernel's pages, it wouldn't mount

	superMagic  = 0xe0f5e1e2
	superOffset = 1024 // room for a boot sector
	superSize   = 128

	// The entry of the one extra device follows the superblock, which says
	// where in units of the entry's size: 1152 = 9 × 128.
	deviceOffset = superOffset + superSize
	deviceSize   = 128

	metaBlock = 1         // where inodes are numbered from
	slotSize  = 32        // an inode's number counts these from there
	rootSlot  = 1         // 0 would be no number to readdir(3)
	inodeSize = 64        // the extended form
	nullBlock = 1<<32 - 1 // stands for a hole: other blocks have lower numbers
)

// Features that a kernel must know to mount: files with a map of blocks, and
// extra devices; and one that it need not: inodes have times.
const (
	incompatChunkedFile = 0x4
	incompatDeviceTable = 0x8
	compatModTime       = 0x2
)

// Data layouts: where the content of an inode lies.
const (
	flatPlain  = 0 // in consecutive blocks, of which the inode names the first
	flatInline = 2 // the last block's content behind the inode, the others likewise
	chunkBased = 4 // in chunks, whose first blocks a map behind the inode names
)

// The map of chunks has an entry of 8 bytes for each, struct
// erofs_inode_chunk_index: the number of the device, and of the block there. It
// begins at a multiple of 8.
const (
	chunkEntry   = 8
	chunkIndexes = 0x20 // in the inode: that entries are of this kind; the chunk's size is below
	dataDevice   = 1    // the first of the extra ones
)

// extended is the low bit of an inode's format; the data layout is above it.
const extended = 1

// File types in directory entries (FT_* of linux/fs_types.h).
const (
	typeRegular = 1
	typeDir     = 2
	typeChar    = 3
	typeBlock   = 4
	typeFIFO    = 5
	typeSymlink = 7
)

// A super is the superblock: struct erofs_super_block.
type super struct {
	root         uint16 // number of the root's inode
	inodes       uint64
	blocks       uint32 // of the image
	deviceBlocks uint32
}

// put writes block 0, into a block of zeros.
func (s *super) put(b []byte) {
	le := binary.LittleEndian
	sb := b[superOffset:]
	le.PutUint32(sb[0:], superMagic)
	le.PutUint32(sb[8:], compatModTime)
	sb[12] = blockBits
	le.PutUint16(sb[14:], s.root)
	le.PutUint64(sb[16:], s.inodes)
	le.PutUint32(sb[36:], s.blocks)
	le.PutUint32(sb[40:], metaBlock)
	le.PutUint32(sb[80:], incompatChunkedFile|incompatDeviceTable)
	le.PutUint16(sb[86:], 1)                       // extra devices
	le.PutUint16(sb[88:], deviceOffset/deviceSize) // where they are listed
	dev := b[deviceOffset:]                        // struct erofs_deviceslot: 64 bytes of a name
	le.PutUint32(dev[64:], s.deviceBlocks)
}

// An inode is struct erofs_inode_extended.
type inode struct {
	layout    uint16 // data layout
	xattrs    int    // bytes of extended attributes that follow
	mode      uint16
	size      uint64
	where     uint32 // the first block; the form of the map of chunks; a device file's number
	ino       uint32 // for stat(2) with 32 bits
	uid, gid  uint32
	sec       uint64
	nsec      uint32
	linkCount uint32
}

// put writes the inode into inodeSize bytes of zeros.
func (i *inode) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint16(b[0:], i.layout<<1|extended)
	le.PutUint16(b[2:], xattrCount(i.xattrs))
	le.PutUint16(b[4:], i.mode)
	le.PutUint64(b[8:], i.size)
	le.PutUint32(b[16:], i.where)
	le.PutUint32(b[20:], i.ino)
	le.PutUint32(b[24:], i.uid)
	le.PutUint32(b[28:], i.gid)
	le.PutUint64(b[32:], i.sec)
	le.PutUint32(b[40:], i.nsec)
	le.PutUint32(b[44:], i.linkCount)
}

// encodeDevice packs a device number as Linux does (new_encode_dev): the low 8
// bits of the minor number, 12 of the major, the high 12 of the minor.
func encodeDevice(major, minor uint32) uint32 {
	return minor&0xff | major&0xfff<<8 | minor&^0xff<<12
}
