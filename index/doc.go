// Package index knows what is in a layer and where.
//
// A layer, however compressed, is a decoded space: a line of bytes, the tar
// archive, in which every regular file's content is one run (a sparse file
// adds a list of holes). The decoded space is tiled by chunks; a chunk is the
// smallest piece that can be fetched, decoded, verified and cached alone. A
// TOC lists a layer's entries and chunks.
//
// A layer that nobody has indexed is read once, from its first byte to its
// last, by Build: it hashes the compressed bytes and the decoded ones, reads
// the tar headers, hands every decoded chunk to a Sink, which keeps it, and
// writes down where decoding can begin again. From then on Extent says which
// bytes of the blob hold some chunks, and Decode turns them into those chunks
// and verifies them: bytes in, bytes out.
//
// The package knows nothing of registries, of caches and of file systems: a
// blob is an io.Reader, a decoded chunk a []byte.
package index
