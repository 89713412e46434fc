package tree_test

import (
	"fmt"
	"testing"

	"ocifs.dev/ocifs/fs/tree"
)

// TestMergeHostile merges layers that would take hours if any step looked at
// what it has looked at before. It has no deadline but that of all tests.
func TestMergeHostile(t *testing.T) {
	const n = 30_000
	opq := func(d string) member { return file(d+"/.wh..wh..opq", "") }
	fill := func(d string, l layer) layer {
		for i := range n {
			l = append(l, file(fmt.Sprintf("%s/%d", d, i), "C"))
		}
		return l
	}
	repeat := func(l layer, m ...member) layer {
		for range n {
			l = append(l, m...)
		}
		return l
	}
	full := fill("d", layer{dir("d")})
	forward, backward := layer{}, layer{}
	for i := range n {
		forward = append(forward, hard(fmt.Sprint("l", i), fmt.Sprint("l", i+1)))
		backward = append(backward, hard(fmt.Sprint("l", n-i), fmt.Sprint("l", n-i-1)))
	}
	forward = append(forward, file(fmt.Sprint("l", n), "C"))
	backward = append(backward, file("l0", "C"))
	many := []layer{full}
	for i := range 1000 {
		many = append(many, layer{wh("d/x"), opq("e"), file(fmt.Sprint("e/", i), "C")})
	}
	for _, tt := range []struct {
		name   string
		layers []layer
		want   int // nodes
	}{
		{"opaque again and again", []layer{full, repeat(fill("d", nil), opq("d"))}, n + 2},
		{"whiteout again and again", []layer{full, repeat(fill("d", nil), wh("d"))}, n + 2},
		{"directory and file in turns", []layer{repeat(full, file("d", "C"), dir("d"))}, 2},
		{"one name again and again", []layer{repeat(nil, file("a", "C"), symlink("a", "b"), dir("a"))}, 2},
		{"opaque in a deep directory", []layer{full, repeat(fill("d", nil), opq("d"), file("d/0/1/2/3", "C"), opq("d/0/1"))}, n + 5},
		{"chain of hard links, forward", []layer{forward}, 2},
		{"chain of hard links, backward", []layer{backward}, 2},
		{"many layers", many, n + 4},
		{"names of one hash table", []layer{fill("a", fill("b", fill("c", nil)))}, 3*n + 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := tree.Merge(pile(tt.layers...).tocs)
			if err != nil {
				t.Fatal(err)
			}
			if m.Len() != tt.want {
				t.Errorf("%d nodes, want %d", m.Len(), tt.want)
			}
		})
	}
}
