package index

// A point is a place where decoding can begin: for gzip a checkpoint, for zstd
// a frame's start, for tar nothing is needed but the first.
type point struct {
	out    int64  // offset in the decoded space
	bit    int64  // offset in the blob, in bits: DEFLATE's symbols don't heed bytes
	win    int64  // offset of the decoder's state in the windows file
	winLen uint32 // its length; 0: nothing to remember (the start of a member or frame)
}
