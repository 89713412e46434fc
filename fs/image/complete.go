package image

import "ocifs.dev/ocifs/index"

// Complete says whether all contents are on this machine, as far as the cache's
// marks tell: no read has to wait for anything else, unless something is evicted
// meanwhile.
func (m *Image) Complete() bool {
	for _, l := range m.layers {
		n := 0
		l.space.Present(func(int) { n++ })
		asIs := l.toc.Format() == index.Tar && l.blob.Local()
		if n < l.toc.Len() && !asIs {
			return false
		}
	}
	return true
}
