package main

import (
	"context"
	"time"
)

// processor asks what reading costs beside time.
func processor() question {
	return question{
		name:  "cpu",
		title: "Processor time per GB that is read",
		goal:  "stated beside ext4's",
		how: []string{
			"Every file of an image that is all on this machine, read as above: on a fresh mount, then again from memory.",
			"*Reader* is find, xargs and cat, with what the kernel does for them; *server* the process that serves the mount.",
		},
		columns: []column{{"reader", seconds}, {"server", seconds}, {"reader, again", seconds}, {"server, again", seconds}},
		base:    "ext4",
		trials: func(ctx context.Context, l *lab) (trials []trial, _ error) {
			for _, img := range l.images {
				for _, f := range faces() {
					trials = append(trials, trial{img.name, f.name, f.needs, func(ctx context.Context, s *scene) (sample, error) {
						return s.processor(ctx, f, img)
					}})
				}
			}
			return trials, nil
		},
	}
}

func (s *scene) processor(ctx context.Context, f face, img *image) (sample, error) {
	total, err := s.unpackedSize(ctx, img)
	if err != nil {
		return nil, err
	}
	s.warm = true
	v, err := f.show(ctx, s, img)
	if err != nil {
		return nil, err
	}
	got := sample{}
	for _, again := range []string{"", ", again"} {
		before, err := v.cpu()
		if err != nil {
			return nil, err
		}
		u, err := s.sh(ctx, readAll, v.dir, "1")
		if err != nil {
			return nil, err
		}
		after, err := v.cpu()
		if err != nil {
			return nil, err
		}
		got["reader"+again] = u.cpu.Seconds() / total * 1e9
		got["server"+again] = (after - before).Seconds() / total * 1e9
	}
	return got, nil
}

// cpu is how much processor time the server has used; the kernel has none of
// its own that could be told from the readers'.
func (v shown) cpu() (time.Duration, error) {
	if v.pid == 0 {
		return 0, nil
	}
	return cpuOf(v.pid)
}
