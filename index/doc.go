// Package index knows what is in a layer and where.
//
// A layer, however compressed, is a decoded space: a line of bytes, the tar
// archive or at least its files' contents, in which every regular file's
// content is one run (a sparse file adds a list of holes). The decoded space
// is tiled by chunks; a chunk is the smallest piece that can be fetched,
// decoded, verified and cached alone. A TOC lists a layer's entries and
// chunks.
//
// A layer that nobody has indexed is read once, from its first byte to its
// last, by Build: it hashes the compressed bytes and the decoded ones, reads
// the tar headers, hands every decoded chunk to a Sink, which keeps it, and
// writes down where decoding can begin again. From then on Extent says which
// bytes of the blob hold some chunks, and Decode turns them into those chunks
// and verifies them: bytes in, bytes out.
//
// Other layers bring a table of contents, eStargz and zstd:chunked ones, and
// Open reads that with a request or two. A manifest that gives its digest
// vouches for it, and it for every chunk; but that it lists the files that an
// unpacker would find is the word of whoever made the image. Check, which needs
// what Build makes of the layer, finds out. And it tells a little less than the
// archive: but for Podman's, times in whole seconds, and no extended attributes
// as libarchive writes them. Where it is known to tell something else, as with
// names that aren't Unicode, Open leaves the layer to Build.
//
// The package knows nothing of registries, of caches and of file systems: a
// blob is an io.Reader or an io.ReaderAt, a decoded chunk a []byte.
package index
