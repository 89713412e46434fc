package index

// WindowsSize is the length of the windows file that Decode reads from; 0 if
// it needs none.
func (t *TOC) WindowsSize() int64 {
	switch s := t.tiling.(type) {
	case *stream:
		return s.windows
	case *spans:
		return s.windows
	}
	return 0
}

// Checkpoints is how many places of the blob decoding can begin at, as far as
// that takes any knowledge: none of an uncompressed layer that was read.
func (t *TOC) Checkpoints() int {
	if s, ok := t.tiling.(*stream); ok {
		return len(s.points)
	}
	return t.Len()
}
