package main

import (
	"fmt"
	"math"
	"slices"
)

// format writes a number with three digits and the unit.
func (u unit) format(v float64) string {
	switch u {
	case seconds:
		if a := math.Abs(v); a < 1e-3 {
			return digits(v*1e6) + " µs"
		} else if a < 1 {
			return digits(v*1e3) + " ms"
		}
		return digits(v) + " s"
	case bytes, speed:
		prefix := ""
		for _, p := range []string{"k", "M", "G"} {
			if math.Abs(v) < 1000 {
				break
			}
			v, prefix = v/1000, p
		}
		return digits(v) + " " + prefix + string(u)
	case factor:
		return digits(v) + "×"
	}
	return digits(v)
}

// digits writes three digits of a number, more only before the point.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a == 0 || a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// median is the middle one of numbers, or between the middle two.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n == 0 {
		return math.NaN()
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// values are a row's numbers in a column.
func (r *row) values(column string) (v []float64) {
	for _, s := range r.Samples {
		if n, ok := s[column]; ok {
			v = append(v, n)
		}
	}
	return v
}

// value is the median of a row's numbers in a column.
func (r *row) value(column string) (v float64, ok bool) {
	list := r.values(column)
	return median(list), len(list) > 0
}

// ratio is how many times r's number in a column is base's: the median over
// the runs, each of which had both.
func (r *row) ratio(column string, base *row) (v float64, ok bool) {
	var list []float64
	for i := range min(len(r.Samples), len(base.Samples)) {
		n, ok1 := r.Samples[i][column]
		d, ok2 := base.Samples[i][column]
		if ok1 && ok2 && d != 0 {
			list = append(list, n/d)
		}
	}
	return median(list), len(list) > 0
}
