// Package layertest writes layers and images for tests, and judges what
// became of them.
//
// A layer is told as a list of entries, in archive order:
//
//	layertest.Tar(
//		layertest.Dir("etc"),
//		layertest.File("etc/motd", "hi", layertest.Mode(0o600), layertest.Owner(5, 7)),
//		layertest.Symlink("etc/issue", "motd"),
//		layertest.Whiteout("etc/passwd"),
//		layertest.Opaque("var/cache"),
//	)
//
// The archive is written header by header here, not with archive/tar, because
// tests need what that package refuses to write: sparse files in each of their
// four encodings, PAX records in any order, twice or malformed, headers with
// fields that lie. [Patch] edits a header, [Raw] puts any bytes between two
// entries; all else comes out as an archive that archive/tar reads.
//
// Compressors ([Gzip], [MultiGzip], [Zstd], [ZstdFrames], [ZstdChunked]) turn archives into
// blobs, a [Layer] is a blob with its media type and diffID, an [Image] a list
// of layers, an [Index] a list of images and indexes. A [Store] holds the
// blobs these are made of; [WriteLayout], [OCIArchive] and [DockerArchive]
// write them the way images lie on disks.
//
// [Walk] and [Compare] read two real directory trees completely and report
// every difference; [Unpack] has umoci unpack an image, so that a mount can be
// compared with what another program makes of the same bytes.
//
// The package imports nothing else of this module, so that any test can use
// it. Its functions panic where a test asks for something that cannot be
// written; those that take a testing.TB fail the test.
package layertest
