package tree

import "iter"

// All walks n and everything below it: a directory before what is in it, and
// in it the names in the order of their bytes, each followed by all below it.
// It yields paths relative to n, "" for n itself and then as in "etc/passwd",
// and the file there. A file with several names comes once for each.
func (t *Tree) All(n Node) iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		if yield("", n) && t.IsDir(n) {
			t.below(n, "", yield)
		}
	}
}

// below walks what is in dir, whose path ends in a slash unless it is "", and
// says whether to go on.
func (t *Tree) below(dir Node, path string, yield func(string, Node) bool) bool {
	first, k := t.Dirents(dir)
	for i := first; i < first+k; i++ {
		name, n := t.Dirent(i)
		name = path + name
		if !yield(name, n) || t.IsDir(n) && !t.below(n, name+"/", yield) {
			return false
		}
	}
	return true
}
