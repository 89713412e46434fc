package erofs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/index"
)

// A reader reads an EROFS image as its specification says, and knows nothing of
// how it was made. It is stricter than the kernel: what is not needed must be
// zero, and nothing may lie over anything else.
type reader struct {
	b      []byte
	device io.ReaderAt
	size   int64 // of the device
	meta   int64 // byte from which on inodes are numbered
	root   uint64
	inodes uint64
	used   map[int64]bool // blocks of the image and, counted on from there, of the device
}

const block = 4096

// A found is what the image says of a file.
type found struct {
	mode, uid, gid, nlink, nsec uint32
	size, sec                   int64
	rdev                        uint32
	xattrs                      []index.Xattr
	layout                      uint16
	where                       uint32
	at                          int64 // byte behind the inode and its attributes
}

func openImage(b []byte, device io.ReaderAt, size int64) (*reader, error) {
	le := binary.LittleEndian
	if len(b) < 2*block || len(b)%block != 0 {
		return nil, fmt.Errorf("an image of %d bytes", len(b))
	}
	sb, slot := b[1024:1152], b[1152:1280]
	r := &reader{b: b, device: device, size: size, used: map[int64]bool{}}
	r.root, r.inodes, r.meta = uint64(le.Uint16(sb[14:])), le.Uint64(sb[16:]), block*int64(le.Uint32(sb[40:]))
	switch {
	case le.Uint32(sb) != 0xe0f5e1e2:
		return nil, fmt.Errorf("magic %#x", le.Uint32(sb))
	case sb[12] != 12:
		return nil, fmt.Errorf("blocks of 1 << %d bytes", sb[12])
	case int64(le.Uint32(sb[36:]))*block != int64(len(b)):
		return nil, fmt.Errorf("%d blocks in %d bytes", le.Uint32(sb[36:]), len(b))
	case le.Uint32(sb[80:])&^0xc != 0:
		return nil, fmt.Errorf("features %#x", le.Uint32(sb[80:]))
	case le.Uint16(sb[86:]) != 1 || int(le.Uint16(sb[88:]))*128 != 1152:
		return nil, fmt.Errorf("%d devices at %d", le.Uint16(sb[86:]), le.Uint16(sb[88:]))
	case int64(le.Uint32(slot[64:]))*block != size || size == 0:
		return nil, fmt.Errorf("a device of %d blocks, which has %d bytes", le.Uint32(slot[64:]), size)
	case le.Uint32(slot[68:]) != 0:
		return nil, fmt.Errorf("the device begins at block %d", le.Uint32(slot[68:]))
	case len(bytes.Trim(b[:1024], "\x00"))+len(bytes.Trim(b[1280:block], "\x00")) > 0:
		return nil, fmt.Errorf("block 0 has something that nobody needs")
	}
	return r, nil
}

// inode reads the inode with that number.
func (r *reader) inode(nid uint64) (f found, err error) {
	le := binary.LittleEndian
	at := r.meta + int64(nid)*32
	if nid == 0 || at+64 > int64(len(r.b)) {
		return f, fmt.Errorf("inode %d is outside", nid)
	}
	b := r.b[at:]
	format := le.Uint16(b)
	f = found{
		layout: format >> 1, mode: uint32(le.Uint16(b[4:])), size: int64(le.Uint64(b[8:])), where: le.Uint32(b[16:]),
		uid: le.Uint32(b[24:]), gid: le.Uint32(b[28:]), sec: int64(le.Uint64(b[32:])), nsec: le.Uint32(b[40:]), nlink: le.Uint32(b[44:]),
	}
	switch {
	case format&1 != 1 || format>>4 != 0:
		return f, fmt.Errorf("inode %d has format %#x", nid, format)
	case at%block+64 > block:
		return f, fmt.Errorf("inode %d lies over the end of a block", nid)
	case uint64(le.Uint32(b[20:])) != nid:
		return f, fmt.Errorf("inode %d calls itself %d", nid, le.Uint32(b[20:]))
	case le.Uint16(b[6:]) != 0 || len(bytes.Trim(b[48:64], "\x00")) > 0:
		return f, fmt.Errorf("inode %d has something in reserved fields", nid)
	}
	f.at = at + 64
	if n := int64(le.Uint16(b[2:])); n > 0 {
		body := b[64 : 64+12+4*(n-1)]
		f.at += int64(len(body))
		if f.xattrs, err = readXattrs(body); err != nil {
			return f, fmt.Errorf("inode %d: %w", nid, err)
		}
	}
	if t := f.mode & unix.S_IFMT; t == unix.S_IFCHR || t == unix.S_IFBLK {
		f.rdev = f.where
	}
	return f, nil
}

func readXattrs(b []byte) (list []index.Xattr, err error) {
	prefixes := map[byte]string{1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security."}
	if len(bytes.Trim(b[:12], "\x00")) > 0 {
		return nil, fmt.Errorf("attributes are shared, or have a filter")
	}
	for b = b[12:]; len(b) > 0; {
		name, value := int(b[0]), int(binary.LittleEndian.Uint16(b[2:]))
		prefix, end := prefixes[b[1]], 4+name+value
		if prefix == "" || (end+3)&^3 > len(b) {
			return nil, fmt.Errorf("an attribute of namespace %d, %d bytes of %d", b[1], end, len(b))
		}
		list = append(list, index.Xattr{Name: prefix + string(b[4:4+name]), Value: string(b[4+name : end])})
		b = b[(end+3)&^3:]
	}
	return list, nil
}

// take says that a run of blocks belongs to one file, and no other.
func (r *reader) take(first, n int64) error {
	for b := first; b < first+n; b++ {
		if r.used[b] {
			return fmt.Errorf("block %d is used twice", b)
		}
		r.used[b] = true
	}
	return nil
}

// content is what a file has, read from the image or the device.
func (r *reader) content(f found) ([]byte, error) {
	if f.size < 0 || f.size > 64<<20 {
		return nil, fmt.Errorf("%d bytes", f.size)
	}
	out, blocks := make([]byte, (f.size+block-1)/block*block), (f.size+block-1)/block
	switch f.layout {
	case 0:
		if f.size > 0 {
			return out[:f.size], r.read(out, int64(f.where), blocks)
		}
		return out, nil
	case 2:
		full := blocks - 1
		tail := f.size - full*block
		if f.at/block != (f.at+tail-1)/block {
			return nil, fmt.Errorf("inline data at %d goes over the end of a block", f.at)
		}
		copy(out[full*block:], r.b[f.at:f.at+tail])
		if full > 0 {
			return out[:f.size], r.read(out[:full*block], int64(f.where), full)
		}
		return out[:f.size], nil
	case 4:
		if f.where&^0x1f != 0x20 {
			return nil, fmt.Errorf("chunks of form %#x", f.where)
		}
		chunk, m := int64(1)<<(f.where&0x1f), (f.at+7)&^7
		for i := int64(0); i*chunk < blocks; i++ {
			e := binary.LittleEndian.Uint64(r.b[m+8*i:])
			n := min(chunk, blocks-i*chunk)
			switch device, at := e&0xffffffff, int64(e>>32); {
			case device == 0 && at == 0xffffffff:
			case device != 1<<16 || (at+n)*block > r.size:
				return nil, fmt.Errorf("chunk %d is %#x", i, e)
			default:
				at += int64(len(r.b)) / block
				if err := r.read(out[i*chunk*block:][:n*block], at, n); err != nil {
					return nil, err
				}
			}
		}
		return out[:f.size], nil
	}
	return nil, fmt.Errorf("layout %d", f.layout)
}

// read reads blocks, which become this reader's only use of them.
func (r *reader) read(p []byte, first, n int64) error {
	if err := r.take(first, n); err != nil {
		return err
	}
	if (first+n)*block <= int64(len(r.b)) {
		copy(p, r.b[first*block:])
		return nil
	}
	got, err := r.device.ReadAt(p, first*block-int64(len(r.b)))
	if got < len(p) {
		return fmt.Errorf("the device at block %d: %d bytes of %d, %w", first, got, len(p), err)
	}
	return nil
}

// A name is an entry of a directory.
type name struct {
	text string
	nid  uint64
	typ  byte
}

// list reads a directory, and looks that it is sorted.
func list(content []byte) (names []name, err error) {
	le := binary.LittleEndian
	for len(content) > 0 {
		b := content[:min(block, len(content))]
		content = content[len(b):]
		first := int(le.Uint16(b[8:]))
		if first < 12 || first%12 != 0 || first > len(b) {
			return nil, fmt.Errorf("names begin at %d", first)
		}
		for at := 0; at < first; at += 12 {
			from, to := int(le.Uint16(b[at+8:])), len(b)
			if at+12 < first {
				to = int(le.Uint16(b[at+12+8:]))
			} else if z := bytes.IndexByte(b[from:], 0); z >= 0 {
				to = from + z
			}
			if from > to || to > len(b) || to-from > 255 || from == to {
				return nil, fmt.Errorf("a name from %d to %d of %d", from, to, len(b))
			}
			names = append(names, name{string(b[from:to]), le.Uint64(b[at:]), b[at+10]})
		}
	}
	if !slices.IsSortedFunc(names, func(a, b name) int { return strings.Compare(a.text, b.text) }) {
		return nil, fmt.Errorf("names are not sorted: %v", names)
	}
	return names, nil
}
