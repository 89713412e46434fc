// Package ztoc reads and writes zTOCs, the tables of contents that SOCI
// (Seekable OCI) keeps beside a layer: a list of the archive's members, and
// where in the layer decoding can begin.
//
// A zTOC tiles a layer with spans. A span of a gzip layer begins at a
// [Checkpoint], which is the start of a DEFLATE block: what it takes to decode
// from there is the bit at which the block begins and the 32 KiB of output
// before it, its window. The spans of an uncompressed layer are of one size.
// Of every span the zTOC has the SHA-256 of its compressed bytes.
//
// In the file all of this is one FlatBuffers buffer, whose schema is
//
//	table Ztoc            { version, build_tool_identifier: string;
//	                        compressed_archive_size, uncompressed_archive_size: long;
//	                        toc: TOC; compression_info: CompressionInfo; }
//	table TOC             { metadata: [FileMetadata]; }
//	table FileMetadata    { name, type: string; uncompressed_offset, uncompressed_size: long;
//	                        linkname: string; mode: long; uid, gid: uint32; uname, gname, mod_time: string;
//	                        devmajor, devminor: long; xattrs: [Xattr]; }
//	table Xattr           { key, value: string; }
//	table CompressionInfo { compression_algorithm: byte = 1; max_span_id: int;
//	                        span_digests: [string]; checkpoints: [ubyte]; }
//
// and the checkpoints are, within it, a blob of their own: see [Checkpoints]
// and [Grid].
//
// A file that comes from elsewhere can be anything. Parse checks all of it, so
// that nothing read afterwards can fail, reach beyond the buffer, or take more
// time or memory than the buffer's length warrants. What the file says may
// still be untrue. What Append writes is, byte for byte, what soci-snapshotter
// writes for the same values, so that two builders of one layer's zTOC come to
// the same digest.
package ztoc
