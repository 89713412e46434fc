package index

// A point is a place where decoding can begin: for gzip a checkpoint within a
// member, for zstd the start of a frame. A tar layer needs none.
type point struct {
	out    int64  // offset in the decoded space
	bit    int64  // offset in the blob, in bits: DEFLATE's symbols don't heed bytes
	win    int64  // offset of the decoder's state in the windows file
	winLen uint32 // its length; 0: nothing to remember (the start of a DEFLATE stream or a frame)
}

// A point is left out where the windows file would grow beyond a share of the
// blob: decoding then begins at the point before. That one is never farther away
// than MaxSpan, whatever it takes.
const windowsPercent = 3 // of the blob

// MaxSpan is how many bytes of the decoded space may lie between two points of a
// gzip layer: 4 MiB.
const MaxSpan = 16 * ChunkSize

// affords says whether s takes in a point with a state of n bytes.
func (s *stream) affords(m mark, n int64) bool {
	return len(s.points) == 0 || m.out-s.points[len(s.points)-1].out >= MaxSpan ||
		100*(s.windows+n) <= windowsPercent*(m.bit/8)
}

// A mark is a point that a decoder has found.
type mark struct {
	out, bit int64
	state    state // what decoding needs to begin there; nil: nothing
}

// A state appends itself to b, in the form in which it is kept.
type state interface{ Append(b []byte) []byte }

// marks are the points found and not taken yet.
type marks []mark

// take hands over what was found since the last call.
func (m *marks) take() []mark {
	found := *m
	*m = nil
	return found
}
