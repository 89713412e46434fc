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
