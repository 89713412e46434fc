package fetch

// Pieces makes the long streams of a registry come in pieces of n bytes, a
// multiple of blockSize, so that tests of them need not be long.
func (s *Source) Pieces(n int64) { s.place.(*registry).piece = n }
