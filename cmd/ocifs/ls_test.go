package main

import (
	"slices"
	"testing"
)

func TestFit(t *testing.T) {
	for _, c := range []struct {
		widths []int
		line   int
		want   []int
	}{
		{nil, 80, nil},
		{[]int{200}, 80, []int{200}},
		{[]int{3, 3, 3}, 80, []int{3, 3, 3}},
		{[]int{3, 3, 3}, 14, []int{3, 3, 3}},
		{[]int{3, 3, 3}, 13, []int{3, 3}},
		{[]int{3, 3, 3}, 8, []int{3}},
		{[]int{1, 9, 1, 1, 1}, 20, []int{9, 1, 1}}, // rows of two: 1 9 | 1 1 | 1
		{[]int{5, 5}, 0, []int{5}},
	} {
		if got := fit(c.widths, c.line); !slices.Equal(got, c.want) {
			t.Errorf("%v in %d: %v, want %v", c.widths, c.line, got, c.want)
		}
	}
}
