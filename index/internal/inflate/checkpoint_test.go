package inflate_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"ocifs.dev/ocifs/index/internal/inflate"
)

// A mark is a checkpoint with its state.
type mark struct {
	inflate.Checkpoint
	state []byte
}

// pass decodes raw, a single stream, with checkpoints.
func pass(t testing.TB, raw []byte, every int64) (out []byte, marks []mark) {
	d := inflate.NewDecoder(bytes.NewReader(raw))
	d.Every(every, func(c *inflate.Checkpoint) { marks = append(marks, mark{*c, c.Append(nil)}) })
	for {
		p, err := d.Next()
		if err == io.EOF {
			return out, marks
		}
		if err != nil {
			t.Fatal(err)
		}
		if from, to := int64(len(out)), int64(len(out)+len(p)); from/every != (to-1)/every {
			t.Fatalf("bytes %d to %d reach across a checkpoint", from, to)
		}
		out = append(out, p...)
	}
}

// check decodes from every checkpoint to the next, with no byte of input more
// than that should need, and from some to the end.
func check(t testing.TB, raw, want []byte, every int64) {
	out, marks := pass(t, raw, every)
	if !bytes.Equal(out, want) {
		t.Fatalf("decoded %d other bytes", len(out))
	}
	if n := (len(want) + int(every) - 1) / int(every); len(marks) != n {
		t.Fatalf("got %d checkpoints, want %d", len(marks), n)
	}
	d := inflate.NewDecoder(nil)
	for i, m := range marks {
		if m.Out != int64(i)*every {
			t.Fatalf("checkpoint %d is at %d", i, m.Out)
		}
		end, input := int64(len(want)), raw[m.Bit/8:]
		if i+1 < len(marks) {
			end, input = marks[i+1].Out, raw[m.Bit/8:(marks[i+1].End+7)/8]
		}
		if err := d.Resume(bytes.NewReader(input), m.state); err != nil {
			t.Fatalf("checkpoint %d: %v", i, err)
		}
		got := make([]byte, end-m.Out)
		if n, err := io.ReadFull(d, got); err != nil {
			t.Fatalf("checkpoint %d: %d bytes of %d: %v", i, n, len(got), err)
		}
		if !bytes.Equal(got, want[m.Out:end]) {
			t.Fatalf("checkpoint %d: other bytes", i)
		}
		if i%5 > 0 {
			continue
		}
		if err := d.Resume(bytes.NewReader(raw[m.Bit/8:]), m.state); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, want[m.Out:]) {
			t.Fatalf("checkpoint %d to the end: %d bytes, %v", i, len(got), err)
		}
	}
}

func TestCheckpoints(t *testing.T) {
	for _, size := range []int{1, inflate.MinEvery, inflate.MinEvery + 1, 3 * inflate.MinEvery, 400_000} {
		want := content(uint64(size)+7, size)
		for _, w := range writers() {
			t.Run(fmt.Sprintf("%s/%d", w.name, size), func(t *testing.T) {
				raw := w.bytes(t, want)
				check(t, raw, want, inflate.MinEvery)
				check(t, raw, want, 100_001)
			})
		}
	}
}

func TestCheckpointsOfNothing(t *testing.T) {
	if _, marks := pass(t, giant(nil), inflate.MinEvery); len(marks) != 0 {
		t.Errorf("got %d checkpoints", len(marks))
	}
}

// The places where a checkpoint can be taken: around the grid lie matches of
// all lengths.
func TestCheckpointInMatch(t *testing.T) {
	const every = inflate.MinEvery
	r := rand.New(rand.NewPCG(9, 9))
	for range rounds(60) {
		var w bits
		w.add(1, 1)
		w.add(1, 2)
		n := 0
		for ; n < 300; n++ {
			w.symbol(r.IntN(256))
		}
		for n < 3*every {
			length := 3 + r.IntN(256)
			dist := 1 + r.IntN(min(n, 32768))
			if r.IntN(3) == 0 {
				dist = min(n, 32768)
			}
			w.match(length, dist)
			n += length
		}
		w.end()
		d := inflate.NewDecoder(bytes.NewReader(w.bytes()))
		want, err := io.ReadAll(d)
		if err != nil || len(want) != n {
			t.Fatal(len(want), n, err)
		}
		check(t, w.bytes(), want, every)
	}
}

// Output counts on from stream to stream, and so do checkpoints. They are
// taken at a stream's start if it is at hand.
func TestCheckpointsOfStreams(t *testing.T) {
	const every = inflate.MinEvery
	var raw, want bytes.Buffer
	ws := writers()
	sizes := []int{0, 10, every - 10, 0, every, every + 1, 5000, 3*every - 5001, 0, 200_000, 0, 7}
	for i, size := range sizes {
		b := content(uint64(i), size)
		want.Write(b)
		raw.WriteByte('<')
		raw.Write(ws[i*5%len(ws)].bytes(t, b))
	}
	var got bytes.Buffer
	var marks []mark
	d := inflate.NewDecoder(bytes.NewReader(raw.Bytes()))
	d.Every(every, func(c *inflate.Checkpoint) { marks = append(marks, mark{*c, c.Append(nil)}) })
	all := func(w io.Writer, d *inflate.Decoder) {
		for {
			b, err := d.Input().ReadByte()
			if err == io.EOF {
				return
			}
			if err != nil || b != '<' {
				t.Fatalf("got %q, %v", b, err)
			}
			d.Restart()
			if _, err := io.Copy(w, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	all(&got, d)
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatal("other bytes")
	}
	if n := (want.Len() + every - 1) / every; len(marks) != n {
		t.Fatalf("got %d checkpoints, want %d", len(marks), n)
	}
	starts := 0
	for i, m := range marks {
		if len(m.state) == 0 {
			starts++
		}
		if err := d.Resume(bytes.NewReader(raw.Bytes()[m.Bit/8:]), m.state); err != nil {
			t.Fatal(err)
		}
		got.Reset()
		if _, err := io.Copy(&got, d); err != nil {
			t.Fatal(err)
		}
		all(&got, d)
		if !bytes.Equal(got.Bytes(), want.Bytes()[i*every:]) {
			t.Fatalf("checkpoint %d: %d other bytes", i, got.Len())
		}
		if i > 0 && (m.End < marks[i-1].Bit || m.End > m.Bit+48) {
			t.Errorf("checkpoint %d ends at %d, begins at %d", i, m.End, m.Bit)
		}
	}
	if starts != 4 { // at 0, 1, 2 and 6 × every a stream begins
		t.Errorf("%d checkpoints at a stream's start", starts)
	}
}

// Checkpoints made by a decoder that was itself resumed are the same.
func TestCheckpointsAfterResume(t *testing.T) {
	const every = inflate.MinEvery
	want := content(11, 600_000)
	for _, w := range writers() {
		raw := w.bytes(t, want)
		_, marks := pass(t, raw, every)
		from := marks[3]
		d := inflate.NewDecoder(nil)
		if err := d.Resume(bytes.NewReader(raw[from.Bit/8:]), from.state); err != nil {
			t.Fatal(err)
		}
		i := 3
		d.Every(every, func(c *inflate.Checkpoint) {
			m := marks[i]
			if c.Out+from.Out != m.Out || c.Bit+from.Bit&^7 != m.Bit || !bytes.Equal(c.Append(nil), m.state) {
				t.Errorf("%s: checkpoint %d differs", w.name, i)
			}
			i++
		})
		if n, err := io.Copy(io.Discard, d); err != nil || n != int64(len(want))-from.Out || i != len(marks) {
			t.Errorf("%s: %d bytes, %d checkpoints, %v", w.name, n, i, err)
		}
	}
}

func TestResumeBlock(t *testing.T) {
	first, second := content(12, 90_000), []byte("abcabcabcdefghi")
	var w bits
	w.add(0, 1)
	w.add(1, 2)
	for _, c := range first {
		w.symbol(int(c))
	}
	w.end()
	at := w.n
	w.add(1, 1)
	w.add(1, 2)
	for _, c := range second {
		w.symbol(int(c))
	}
	w.match(258, 32768)
	w.end()
	raw := w.bytes()
	all, err := io.ReadAll(inflate.NewDecoder(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	want := all[len(first):]
	d := inflate.NewDecoder(nil)
	for _, window := range [][]byte{first, first[len(first)-inflate.History:]} {
		d.ResumeBlock(bytes.NewReader(raw[at/8:]), at%8, window)
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// What is kept of a window is little.
func TestStateIsSmall(t *testing.T) {
	want := content(13, 1<<20)
	for _, w := range writers() {
		raw := w.bytes(t, want)
		_, marks := pass(t, raw, 256<<10)
		total := 0
		for _, m := range marks {
			total += len(m.state)
		}
		if mean := total / len(marks); mean > 12<<10 {
			t.Errorf("%s: %d bytes for a checkpoint", w.name, mean)
		}
	}
}

func TestResumeRefusesOtherBytes(t *testing.T) {
	want := content(14, 300_000)
	_, marks := pass(t, writers()[15].bytes(t, want), inflate.MinEvery)
	state := marks[2].state
	d := inflate.NewDecoder(nil)
	for i := 1; i < len(state); i++ {
		if err := d.Resume(bytes.NewReader(nil), state[:i]); err == nil && i > 200 {
			t.Errorf("%d of %d bytes are taken for a state", i, len(state))
		}
	}
	if err := d.Resume(bytes.NewReader(nil), append(state[:len(state):len(state)], 0)); err != inflate.ErrState {
		t.Errorf("with a byte more: %v", err)
	}
}

// rounds is n, or a tenth of it in short mode, where the race detector makes
// everything slow and damage is not what it looks for.
func rounds(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}
