package main

import (
	"archive/tar"
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// read asks how fast a large file is read that is on this machine.
func read() question {
	q := question{
		name:  "read",
		title: "A large file that is on this machine",
		goal:  "0.9 × ext4's speed where the file's pages are not in memory; where they are, 0.6 × (EROFS face: 0.95 ×)",
		how: []string{
			"A file of 512 MiB, decoded in the cache: read in order, 1 MiB at a time, and 4 KiB at a time at 20,000 places.",
			"*From disk*: nothing is in memory. *Dropped*: the file's pages are not, those of the file it comes from are (the cache's,",
			"the file system's). *In memory*: all of it was just read.",
		},
		base:   "ext4",
		trials: readTrials,
	}
	for _, state := range states() {
		q.columns = append(q.columns, column{"in order, " + state, speed})
	}
	for _, state := range states() {
		q.columns = append(q.columns, column{"4 KiB, " + state, seconds})
	}
	return q
}

func states() []string { return []string{"from disk", "dropped", "in memory"} }

const (
	largeSize = 512 << 20
	largeName = "large"
)

// largeImage has one large file, of which half can be compressed.
func largeImage(dir string) error {
	return writeLayout(dir, func(w io.Writer) error {
		t := tar.NewWriter(w)
		h := header(largeName, tar.TypeReg)
		h.Size = largeSize
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		noise := rand.NewChaCha8([32]byte{})
		block := make([]byte, 8<<10)
		for range largeSize / len(block) {
			noise.Read(block[:len(block)/2])
			if _, err := t.Write(block); err != nil {
				return err
			}
		}
		return t.Close()
	})
}

func readTrials(ctx context.Context, l *lab) (trials []trial, _ error) {
	img, err := l.makeImage(ctx, "large-file", largeImage)
	if err != nil {
		return nil, err
	}
	for _, f := range faces() {
		trials = append(trials, trial{"", f.name, f.needs, func(ctx context.Context, s *scene) (sample, error) {
			v, err := f.show(ctx, s, img)
			if err != nil {
				return nil, err
			}
			return readLarge(ctx, filepath.Join(v.dir, largeName), v.files)
		}})
	}
	return trials, nil
}

// readLarge measures all states of a file that comes from other files.
func readLarge(ctx context.Context, name string, from []string) (sample, error) {
	// A peer that has nothing yet fetches it now.
	if err := readOnce(ctx, name); err != nil {
		return nil, err
	}
	got := sample{}
	for _, state := range states() {
		ready := func() error {
			switch state {
			case "from disk":
				if err := evict(name); err != nil {
					return err
				}
				return evict(from...)
			case "dropped":
				return evict(name)
			}
			return readOnce(ctx, name)
		}
		if err := ready(); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := readOnce(ctx, name); err != nil {
			return nil, err
		}
		got["in order, "+state] = largeSize / time.Since(begin).Seconds()
		if err := ready(); err != nil {
			return nil, err
		}
		each, err := readPlaces(ctx, name)
		if err != nil {
			return nil, err
		}
		got["4 KiB, "+state] = each.Seconds()
		// What lies below is in memory for the next state.
		if err := readOnce(ctx, name); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// readOnce reads a file from its beginning to its end.
func readOnce(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for {
		if _, err := f.Read(buf); err == io.EOF {
			return ctx.Err()
		} else if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
	}
}

// readPlaces reads 4 KiB at each of 20,000 places, in no order, and returns
// what one read takes.
func readPlaces(ctx context.Context, name string) (time.Duration, error) {
	const places, page = 20_000, 4 << 10
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	order := rand.New(rand.NewPCG(1, 2)).Perm(largeSize / page)[:places]
	buf := make([]byte, page)
	begin := time.Now()
	for _, n := range order {
		if _, err := f.ReadAt(buf, int64(n)*page); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	return time.Since(begin) / places, nil
}
