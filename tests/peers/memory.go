package main

import (
	"context"
	"fmt"
)

// memory asks what a mount takes while it is there.
func memory() question {
	return question{
		name:  "memory",
		title: "Memory of what serves a mount",
		goal:  "30 MB and 160 B for each inode; none for what was read",
		how: []string{
			"*Its own* is memory that the kernel cannot take back (RssAnon in /proc/PID/status), *resident* what is there with",
			"pages of files (VmRSS). Mounted; after `find DIR -size +0`, which asks for every inode; after every file was read.",
			"*Per inode* is of what is resident after find, above 30 MB.",
		},
		columns: []column{
			{"its own, mounted", bytes}, {"resident, mounted", bytes},
			{"its own, found", bytes}, {"resident, found", bytes}, {"per inode", bytes},
			{"its own, read", bytes}, {"resident, read", bytes},
		},
		trials: memoryTrials,
	}
}

func memoryTrials(ctx context.Context, l *lab) (trials []trial, _ error) {
	served := []string{"ocifs", "ocifs, EROFS face", "stargz-snapshotter", "squashfuse"}
	add := func(group string, img *image, inodes float64, names ...string) {
		for _, name := range names {
			f := faceNamed(name)
			trials = append(trials, trial{group, f.name, f.needs, func(ctx context.Context, s *scene) (sample, error) {
				return s.memory(ctx, f, img, inodes)
			}})
		}
	}
	for _, n := range []int{100_000, 1_000_000} {
		const inDir = 100
		img, err := l.makeImage(ctx, fmt.Sprintf("names-%d", n), namesImage(n, inDir))
		if err != nil {
			return nil, err
		}
		names := served
		if n > 100_000 {
			names = served[:2] // the others take what they take for fewer
		}
		add(fmt.Sprintf("%d empty files", n), img, float64(n+n/inDir+2), names...)
	}
	for _, img := range l.images {
		add(img.name, img, 0, served...)
	}
	return trials, nil
}

// memory measures a server; if inodes is 0, also after all was read.
func (s *scene) memory(ctx context.Context, f face, img *image, inodes float64) (sample, error) {
	v, err := f.show(ctx, s, img)
	if err != nil {
		return nil, err
	}
	got := sample{}
	note := func(when string) error {
		own, all, err := memoryOf(v.pid)
		got["its own, "+when], got["resident, "+when] = float64(own), float64(all)
		return err
	}
	if err := note("mounted"); err != nil {
		return nil, err
	}
	if _, err := s.sh(ctx, `find "$1" -xdev -size +0 > /dev/null`, v.dir); err != nil {
		return nil, err
	}
	if err := note("found"); err != nil {
		return nil, err
	}
	if inodes > 0 {
		got["per inode"] = max(0, got["resident, found"]-30e6) / inodes
		return got, nil
	}
	if _, err := s.sh(ctx, readAll, v.dir, "1"); err != nil {
		return nil, err
	}
	return got, note("read")
}
