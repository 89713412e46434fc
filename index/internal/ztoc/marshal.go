package ztoc

import (
	"encoding/hex"
	"errors"
)

// errSize is what a zTOC that can't be written is refused with.
var errSize = errors.New("a ztoc of more than 2 GiB")

// Marshal makes a zTOC of h, whose Algorithm must be one of this package's,
// and of files, in the order of their offsets. It is the same for equal
// arguments.
func Marshal(h *Header, files []File) ([]byte, error) {
	b := &builder{most: 1, vtables: make(map[string]int)}
	version, tool := b.string(h.Version), b.string(h.Tool)
	refs := make([]int, len(files))
	for i := len(files) - 1; i >= 0; i-- {
		if refs[i] = b.file(&files[i]); b.pos() > maxSize {
			return nil, errSize
		}
	}
	list := b.vector(refs)
	b.table(tocFields)
	b.ref(tocFiles, list)
	toc := b.end()
	info := b.info(h)

	b.table(ztocFields)
	b.ref(ztocVersion, version)
	b.ref(ztocTool, tool)
	b.ref(ztocTOC, toc)
	b.int64(ztocCompressed, h.CompressedSize)
	b.int64(ztocUncompressed, h.UncompressedSize)
	b.ref(ztocInfo, info)
	buf := b.finish(b.end())
	if len(buf) > maxSize {
		return nil, errSize
	}
	return buf, nil
}

func (b *builder) info(h *Header) int {
	checkpoints := b.bytes(h.Checkpoints)
	digests := make([]int, len(h.Digests))
	for i, d := range h.Digests {
		digests[i] = b.string(digestPrefix + hex.EncodeToString(d[:]))
	}
	list := b.vector(digests)
	b.table(infoFields)
	b.number(infoLastSpan, size32, uint64(len(h.Digests)-1))
	b.ref(infoDigests, list)
	b.ref(infoCheckpoints, checkpoints)
	if h.Algorithm != Gzip { // the default
		b.number(infoAlgorithm, 1, uint64(h.Algorithm))
	}
	return b.end()
}

func (b *builder) file(f *File) int {
	name := b.string(f.Name)
	kind := b.string(f.Type)
	link := b.string(f.Link)
	uname := b.string(f.Uname)
	gname := b.string(f.Gname)
	modTime := b.string(f.ModTime)
	refs := make([]int, len(f.PAX))
	for i, r := range f.PAX {
		key, value := b.string(r.Key), b.string(r.Value)
		b.table(recordFields)
		b.ref(recordKey, key)
		b.ref(recordValue, value)
		refs[i] = b.end()
	}
	pax := b.vector(refs)

	b.table(fileFields)
	b.ref(fileName, name)
	b.ref(fileType, kind)
	b.int64(fileOff, f.Off)
	b.int64(fileSize, f.Size)
	b.ref(fileLink, link)
	b.int64(fileMode, f.Mode)
	b.number(fileUID, size32, uint64(f.UID))
	b.number(fileGID, size32, uint64(f.GID))
	b.ref(fileUname, uname)
	b.ref(fileGname, gname)
	b.ref(fileModTime, modTime)
	b.int64(fileDevmajor, f.Devmajor)
	b.int64(fileDevminor, f.Devminor)
	b.ref(filePAX, pax)
	return b.end()
}
