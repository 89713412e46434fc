package index

// Sum is the SHA-256 of what chunk i decodes to, and nil where no chunk has one
// of its own: a layer that was read whole is one chain of hashes, and a zTOC
// has those of the compressed bytes. What a TOC says there is what reading the
// chunk is held to. The caller must not write to it.
func (t *TOC) Sum(i int) []byte {
	if p, ok := t.tiling.(*parts); ok {
		return p.digestOf(i)
	}
	return nil
}
