package main

import (
	"sync/atomic"

	"ocifs.dev/ocifs/fs/export"
	"ocifs.dev/ocifs/fs/tree"
)

// copying is an image whose files are copied, and shows how far that is.
type copying struct {
	export.Source
	u     *ui
	label string
	total int64 // bytes of all contents, each file once, without holes
	done  atomic.Int64
}

// copying shows how the files of items are copied from i.
func (u *ui) copying(label string, i export.Source, items []export.Item) export.Source {
	if !u.progress.show {
		return i
	}
	c := &copying{Source: i, u: u, label: label}
	seen := map[tree.Node]bool{}
	for n := range nodesOf(i.Tree(), items) {
		if isRegular(i.Tree(), n) && !seen[n] {
			seen[n] = true
			c.total += i.Tree().Data(n).Stored()
		}
	}
	return c
}

// ReadAt implements export.Source.
func (c *copying) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	k, err := c.Source.ReadAt(n, p, off)
	done := c.done.Add(int64(k))
	c.u.progress.step(step{Layers: 1, Label: c.label, Done: min(done, c.total), Total: c.total})
	return k, err
}
