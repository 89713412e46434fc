package inflate

// Blocks makes d call each before every block, and so not behind the last one
// of a stream: with where in the input it begins, in bits, and in the output,
// in bytes. These are the places that [Decoder.ResumeBlock] can begin at. The
// call comes within Next or Read, before what is in the block. Blocks is to be
// called before anything has been decoded.
func (d *Decoder) Blocks(each func(bit, out int64)) { d.blocks = each }

// Window is the output before the block that Blocks has told of: the last
// History bytes, or all if there are fewer, also of streams before this one.
// It is valid until the call returns.
func (d *Decoder) Window() []byte { return d.out[max(0, d.op-History):d.op] }

// tell is called before a block.
func (d *Decoder) tell() {
	if d.blocks != nil {
		d.blocks(8*d.inBase+int64(d.bit), d.outBase+int64(d.op))
	}
}
