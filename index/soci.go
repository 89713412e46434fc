package index

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"ocifs.dev/ocifs/index/internal/ztoc"
)

// OpenSOCI makes the TOC of a tar or gzip layer of size bytes from its zTOC,
// which a SOCI index keeps beside the image: nothing of the layer is read. The
// chunks are the zTOC's spans, each some 4 MiB long. The decoded space is that
// of Build, but for a gzip layer it may lack what is, mostly zeros, behind the
// archive's end. Of h the digests and the limits are taken. The zTOC is the
// caller's again.
//
// What is to be trusted: whoever made the zTOC. It lists the files; and it
// says at which bit of the layer a span begins, and by which window it is to
// be decoded. A span's digest makes sure that its compressed bytes are those
// the zTOC was made for, and no more: neither the layer's digest nor the
// diffID vouch for what is decoded, as they do when Build reads a layer; the
// TOC just repeats h's. So use zTOCs that hang, digest by digest, from a
// manifest that is trusted, and name them as what they are. A zTOC that lies
// can show other files than the layer has, but only within the bounds that
// any layer is held to: names are clean, chunks are of limited size, and
// nothing decodes to more than was announced.
//
// A zTOC of a layer with something in it that zTOCs don't tell right, such as
// a sparse file, is an ErrNoIndex. One that can't be right, or is another
// layer's, is a *FormatError, one that asks for too much an ErrLimit. Either
// way Build may still do.
func OpenSOCI(zTOC []byte, size int64, h Hints) (*TOC, error) {
	for _, d := range []digest.Digest{h.Digest, h.DiffID} {
		if err := d.Validate(); err != nil {
			return nil, fmt.Errorf("index: digest %q: %w", d, err)
		}
	}
	l := h.Limits.withDefaults()
	if err := l.table(int64(len(zTOC))); err != nil {
		return nil, err
	}
	z, err := ztoc.Parse(zTOC)
	if err == nil && z.CompressedSize != size {
		err = fmt.Errorf("of a layer of %d bytes, not %d", z.CompressedSize, size)
	}
	if err != nil {
		return nil, &FormatError{Format: SOCI, Err: err}
	}
	if err := l.decoded(z.UncompressedSize, z.CompressedSize); err != nil {
		return nil, err
	}
	s, err := newSpans(z, l)
	if err != nil {
		return nil, &FormatError{Format: SOCI, Err: err}
	}
	t := &TOC{format: SOCI, blob: h.Digest, blobSize: size, diffID: h.DiffID, size: s.size, tiling: s}
	if err := t.addFiles(z, l); err != nil {
		return nil, err
	}
	return t, nil
}

// Windows is the windows file of a TOC that OpenSOCI made. Decode takes no
// other one then; but the stored form lacks it, and whoever keeps that has to
// keep this beside it. Of any other TOC it is nil. It must not be changed.
func (t *TOC) Windows() []byte {
	if s, ok := t.tiling.(*spans); ok {
		return s.held
	}
	return nil
}

var errMember = errors.New("lies elsewhere than the one before lets it")

// addFiles makes entries of a zTOC's files. It says where their contents are,
// but not their headers: these begin where the content before ends. So the
// files stand in the order of their contents, between which there is room for
// a header at least, or the zTOC is wrong.
func (t *TOC) addFiles(z *ztoc.Ztoc, l Limits) error {
	if z.NumFiles() > l.Entries {
		return fmt.Errorf("%w: more than %d entries", ErrLimit, l.Entries)
	}
	var d delta
	end := int64(0)
	for _, i := range inOrder(z) {
		f := z.File(i)
		e, err := fileEntry(&f)
		switch {
		case err != nil:
		case f.Off%blockSize != 0 || f.Off-align(end) < blockSize || f.Size < 0 || f.Size > t.size-f.Off:
			err = errMember
		default:
			err = l.check(e)
		}
		if err != nil {
			return &FormatError{Format: SOCI, Off: f.Off, Name: f.Name, Err: err}
		}
		t.entries = appendEntry(t.entries, e, &d)
		t.nentries++
		end = f.Off + f.Size
	}
	return nil
}

// inOrder is the order of a zTOC's files.
func inOrder(z *ztoc.Ztoc) []int {
	offs, order := make([]int64, z.NumFiles()), make([]int, z.NumFiles())
	for i := range order {
		offs[i], order[i] = z.Off(i), i
	}
	if !slices.IsSorted(offs) {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(offs[a], offs[b]) })
	}
	return order
}

// parseModTime reads what a zTOC has for a time. Times that it can't tell it
// has as nothing.
func parseModTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, fmt.Errorf("%w: a time that zTOCs can't tell", ErrNoIndex)
	}
	return time.Parse(time.RFC3339Nano, s)
}
