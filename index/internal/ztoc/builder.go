package ztoc

// A builder makes a FlatBuffers buffer, from its end to its start: objects
// before those that refer to them, and the root last. What it makes is, byte
// for byte, what Google's builder does, as far as zTOCs need it. Places are
// told as distances from the end, which don't change.
type builder struct {
	buf  []byte // buf[head:] is made
	head int
	most int // the strictest alignment so far

	fields  []int // of the table under way: their places, 0 for defaults
	start   int   // where it started
	vtables map[string]int
}

func (b *builder) pos() int { return len(b.buf) - b.head }

// grow makes room for n more bytes, zeros.
func (b *builder) grow(n int) {
	if n <= b.head {
		return
	}
	made := b.pos()
	buf := make([]byte, max(2*len(b.buf), made+n))
	copy(buf[len(buf)-made:], b.buf[b.head:])
	b.buf, b.head = buf, len(buf)-made
}

// prepend makes room for n bytes and returns it.
func (b *builder) prepend(n int) []byte {
	b.grow(n)
	b.head -= n
	return b.buf[b.head : b.head+n]
}

// align pads so that a number of n bytes is aligned to them when it comes
// before more bytes.
func (b *builder) align(n, more int) {
	b.most = max(b.most, n)
	clear(b.prepend(-(b.pos() + more) & (n - 1)))
}

func (b *builder) uint16(v int) { le.PutUint16(b.prepend(size16), uint16(v)) }
func (b *builder) uint32(v int) { le.PutUint32(b.prepend(size32), uint32(v)) }

// refer writes a reference to what is at pos.
func (b *builder) refer(pos int) {
	b.align(size32, 0)
	b.uint32(b.pos() + size32 - pos)
}

// string writes a string, which ends in a NUL that isn't counted.
func (b *builder) string(s string) int {
	b.align(size32, len(s)+1)
	p := b.prepend(len(s) + 1)
	p[copy(p, s)] = 0
	b.uint32(len(s))
	return b.pos()
}

// bytes writes a vector of bytes.
func (b *builder) bytes(v []byte) int {
	b.align(size32, len(v))
	copy(b.prepend(len(v)), v)
	b.uint32(len(v))
	return b.pos()
}

// vector writes a vector of references.
func (b *builder) vector(refs []int) int {
	b.align(size32, len(refs)*size32)
	for i := len(refs) - 1; i >= 0; i-- {
		b.refer(refs[i])
	}
	b.uint32(len(refs))
	return b.pos()
}

// table begins a table of n fields. Fields are then written in any order, and
// not at all where they have their default.
func (b *builder) table(n int) {
	b.fields, b.start = append(b.fields[:0], make([]int, n)...), b.pos()
}

// number writes field i, of n bytes.
func (b *builder) number(i, n int, v uint64) {
	if v == 0 {
		return
	}
	b.align(n, 0)
	p := b.prepend(n)
	for i := range p {
		p[i] = byte(v >> (8 * i))
	}
	b.fields[i] = b.pos()
}

func (b *builder) int64(i int, v int64) { b.number(i, size64, uint64(v)) }

// ref writes field i, a reference.
func (b *builder) ref(i, pos int) {
	b.refer(pos)
	b.fields[i] = b.pos()
}

// end ends the table. Tables whose fields lie alike share a vtable, which is
// written before the first of them, without the defaults at its end.
func (b *builder) end() int {
	b.align(size32, 0)
	b.uint32(0) // the distance to the vtable, below
	pos := b.pos()
	for len(b.fields) > 0 && b.fields[len(b.fields)-1] == 0 {
		b.fields = b.fields[:len(b.fields)-1]
	}
	key := make([]byte, 0, 32)
	for _, f := range b.fields {
		off := 0
		if f != 0 {
			off = pos - f
		}
		key = le.AppendUint16(key, uint16(off))
	}
	vtable, ok := b.vtables[string(key)]
	if !ok {
		copy(b.prepend(len(key)), key)
		b.uint16(pos - b.start)
		b.uint16(vtableTop + len(key))
		vtable = b.pos()
		b.vtables[string(key)] = vtable
	}
	le.PutUint32(b.buf[len(b.buf)-pos:], uint32(vtable-pos))
	return pos
}

// finish writes the reference to the root, and returns the buffer.
func (b *builder) finish(root int) []byte {
	b.align(b.most, size32)
	b.refer(root)
	return b.buf[b.head:]
}
