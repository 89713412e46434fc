package ztoc_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"ocifs.dev/ocifs/index/internal/ztoc"
)

func points() []ztoc.Checkpoint {
	return []ztoc.Checkpoint{
		{In: 10, Window: make([]byte, ztoc.Window)},
		{In: 1000, Bits: 3, Out: 3000, Window: bytes.Repeat([]byte("a"), ztoc.Window)},
		{In: 1001, Bits: 7, Out: 3001, Window: bytes.Repeat([]byte("b"), ztoc.Window)},
	}
}

func pack(p []ztoc.Checkpoint) (b []byte) {
	for i := range p {
		b = ztoc.AppendCheckpoint(b, 4<<20, &p[i])
	}
	return b
}

func TestCheckpoints(t *testing.T) {
	b := pack(points())
	const head = "03000000" + "0000400000000000" + // 3 of them, 4 MiB
		"0a00000000000000" + "0000000000000000" + "00" // the first
	if got := hex.EncodeToString(b[:29]); got != head || len(b) != 12+3*32785 {
		t.Errorf("%d bytes that begin with %s", len(b), got)
	}
	if got, err := ztoc.Checkpoints(b, 2000); err != nil || !reflect.DeepEqual(got, points()) {
		t.Errorf("read back: %v", err)
	}
	// A short window gets zeros in front.
	short := points()
	short[0].Window = nil
	if !bytes.Equal(pack(short), b) {
		t.Error("without a window the first checkpoint is another one")
	}
	// The first version leaves the first one out.
	old := append(bytes.Clone(b[:12]), b[12+32785:]...)
	if got, err := ztoc.Checkpoints(old, 2000); err != nil || !reflect.DeepEqual(got, points()) {
		t.Errorf("the first version: %v", err)
	}
	if got, err := ztoc.Checkpoints([]byte{1, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0}, 2000); err != nil || len(got) != 1 {
		t.Errorf("the first version, of one span: %v", err)
	}
}

func TestBadCheckpoints(t *testing.T) {
	with := func(edit func(p []ztoc.Checkpoint)) []byte {
		p := points()
		edit(p)
		return pack(p)
	}
	good := pack(points())
	for name, b := range map[string][]byte{
		"none":             nil,
		"no count":         good[:11],
		"a byte less":      good[:len(good)-1],
		"two less":         good[:12+32785],
		"one more":         append(bytes.Clone(good), good[12:12+32785]...),
		"count 0":          append(make([]byte, 12), good[12:12+32785]...),
		"many bits":        with(func(p []ztoc.Checkpoint) { p[1].Bits = 8 }),
		"before the layer": with(func(p []ztoc.Checkpoint) { p[0].In = 0 }),
		"negative":         with(func(p []ztoc.Checkpoint) { p[2].In = -1 << 63 }),
		"behind the layer": with(func(p []ztoc.Checkpoint) { p[2].In = 2001 }),
		"falling":          with(func(p []ztoc.Checkpoint) { p[2].In = 999 }),
		"falling bits":     with(func(p []ztoc.Checkpoint) { p[2] = p[1]; p[2].Bits++ }),
		"falling output":   with(func(p []ztoc.Checkpoint) { p[2].Out = 2999 }),
		"not from 0":       with(func(p []ztoc.Checkpoint) { p[0].Out = 1 }),
	} {
		if _, err := ztoc.Checkpoints(b, 2000); !errors.Is(err, ztoc.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGrid(t *testing.T) {
	g := ztoc.Grid{Span: 1 << 18, Size: 8089600}
	const want = "140000000000000000000a001c0018000c0004000a00000000707b000000000000000400000000000000000002000000"
	if got := hex.EncodeToString(g.Marshal()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err := ztoc.ParseGrid(g.Marshal()); err != nil || got != g || got.Len() != 31 {
		t.Errorf("read back: %+v, %v", got, err)
	}
	for _, bad := range []ztoc.Grid{{}, {Size: 1}, {Span: -1, Size: 1}, {Span: 1, Size: -1}, {Span: 2, Size: 1<<63 - 1}} {
		if _, err := ztoc.ParseGrid(bad.Marshal()); !errors.Is(err, ztoc.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
