// Package inflate decodes DEFLATE (RFC 1951), and can begin in the middle.
//
// DEFLATE is a line of symbols: a literal is a byte, a match is a copy of up
// to 258 bytes from the 32 KiB before it. Symbols are Huffman codes, so they
// begin at any bit; the codes are a block's own, and a block can be as long as
// the whole stream. To begin at a symbol one must know its bit, the block it
// is in, and the bytes before it that later matches copy: these are a
// [Checkpoint]. A [Decoder] that is told to makes one at every so many bytes of
// output, wherever that falls ([Decoder.Every]), and goes on from one
// ([Decoder.Resume]).
//
// Of the 32 KiB before a checkpoint only a tenth or so is ever copied from.
// The decoder notes which bytes are, and the rest is left out: a checkpoint
// takes some 2 KiB, so that one for every 256 KiB of output adds about 2 % to
// a compressed layer.
//
// A decoder reads bytes and knows nothing of gzip. What is around the streams
// is read, by others, through [Decoder.Input], and the next stream then begins
// with [Decoder.Restart]:
//
//	d := inflate.NewDecoder(r)
//	d.Every(256<<10, func(c *inflate.Checkpoint) { … })
//	for readGzipHeader(d.Input()) {
//		for {
//			p, err := d.Next()
//			if err == io.EOF {
//				break
//			}
//			… // use p
//		}
//		readGzipTrailer(d.Input())
//		d.Restart()
//	}
//
// It accepts what compress/flate accepts, and is more than twice as fast as
// other decoders in Go: see loop.go.
package inflate
