package inflate_test

// An odd is a stream that decoders have disagreed on, or could.
type odd struct {
	name string
	make func(*bits)
}

func (o odd) bytes() []byte {
	var w bits
	o.make(&w)
	return w.bytes()
}

// dynamic writes a dynamic block's header with codes of these lengths, written
// one by one.
func dynamic(w *bits, lit, dist []int) {
	w.add(1, 1)
	w.add(2, 2)
	w.add(uint64(len(lit)-257), 5)
	w.add(uint64(len(dist)-1), 5)
	w.add(19-4, 4)
	// 4 bits for each of the lengths 0 to 15, none for repeats.
	for i := range 19 {
		if i < 3 {
			w.add(0, 3)
		} else {
			w.add(4, 3)
		}
	}
	for _, n := range append(append([]int{}, lit...), dist...) {
		w.code(uint64(n), 4)
	}
}

// lens returns n lengths: all 0 but those given as pairs.
func lens(n int, pairs ...int) []int {
	l := make([]int, n)
	for i := 0; i < len(pairs); i += 2 {
		l[pairs[i]] = pairs[i+1]
	}
	return l
}

func oddStreams() []odd {
	long := func() []int { // 15 bits are needed, and subtables
		l := lens(286, 256, 2, 'b', 2)
		l['a'] = 2
		for i := range 12 {
			l[i] = i + 3
		}
		l[12] = 15
		l[13] = 15
		return l
	}
	return []odd{
		{"nothing at all", func(w *bits) {}},
		{"reserved block type", func(w *bits) { w.add(1, 1); w.add(3, 2) }},
		{"stored, its length denied", func(w *bits) { w.add(1, 3); w.add(0, 5); w.add(5, 16); w.add(5, 16) }},
		{"stored, empty, last", func(w *bits) { w.add(1, 3); w.add(0, 5); w.add(0, 16); w.add(0xffff, 16) }},
		{"stored, cut", func(w *bits) { w.add(1, 3); w.add(0, 5); w.add(9, 16); w.add(0xfff6, 16); w.add('a', 8) }},
		{"fixed, literal 286", func(w *bits) { w.add(3, 3); w.symbol('a'); w.symbol(286); w.end() }},
		{"fixed, distance 30", func(w *bits) { w.add(3, 3); w.symbol('a'); w.symbol(257); w.code(30, 5); w.end() }},
		{"fixed, before the start", func(w *bits) { w.add(3, 3); w.symbol('a'); w.match(3, 2); w.end() }},
		{"fixed, no end", func(w *bits) { w.add(3, 3); w.symbol('a') }},
		{"one code", func(w *bits) { dynamic(w, lens(257, 256, 1), lens(1)); w.add(0, 1) }},
		{"one code, the bit that isn't one", func(w *bits) { dynamic(w, lens(257, 256, 1), lens(1)); w.add(1, 1) }},
		{"one code of two bits", func(w *bits) { dynamic(w, lens(257, 256, 2), lens(1)); w.add(0, 2) }},
		{"no codes", func(w *bits) { dynamic(w, lens(257), lens(1)); w.add(0, 20) }},
		{"no end of block", func(w *bits) { dynamic(w, lens(257, 'a', 1, 'b', 1), lens(1)); w.add(0, 20) }},
		{"too many codes", func(w *bits) { dynamic(w, lens(257, 256, 1, 'a', 1, 'b', 1), lens(1)); w.add(0, 20) }},
		{"too few codes", func(w *bits) { dynamic(w, lens(257, 256, 1, 'a', 2), lens(1)); w.add(0, 20) }},
		{"a match, no distance codes", func(w *bits) { dynamic(w, lens(258, 257, 1, 256, 1), lens(1)); w.add(1, 1); w.add(0, 20) }},
		{"a match, one distance code", func(w *bits) {
			dynamic(w, lens(258, 'a', 1, 257, 2, 256, 2), lens(1, 0, 1))
			w.add(0, 1)
			w.code(3, 2)
			w.add(0, 1)
			w.code(2, 2)
		}},
		{"a match, the other distance code", func(w *bits) {
			dynamic(w, lens(258, 'a', 1, 257, 2, 256, 2), lens(1, 0, 1))
			w.add(0, 1)
			w.code(3, 2)
			w.add(1, 1)
			w.code(2, 2)
		}},
		{"287 codes", func(w *bits) { dynamic(w, lens(287, 256, 1, 'a', 1), lens(1)); w.add(0, 20) }},
		{"31 distance codes", func(w *bits) { dynamic(w, lens(257, 256, 1, 'a', 1), lens(31)); w.add(0, 20) }},
		{"30 distance codes", func(w *bits) { dynamic(w, lens(257, 256, 1, 'a', 1), lens(30, 0, 1, 29, 1)); w.add(1, 1) }},
		{"codes of 15 bits", func(w *bits) {
			dynamic(w, long(), lens(30, 0, 1, 1, 1))
			for i := range rounds(4000) {
				w.add(uint64(i)*2654435761>>8, 15)
			}
		}},
		{"a repeat of nothing", func(w *bits) {
			w.add(5, 3)
			w.add(0, 10)
			w.add(0, 4)
			w.add(1, 3)
			w.add(1, 3)
			w.add(0, 6)
			w.add(0, 60)
		}},
	}
}
