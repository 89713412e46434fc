package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// bigDirectory asks whether a large directory can be listed.
func bigDirectory() question {
	q := question{
		name:  "bigdir",
		title: "The first look at a large directory",
		goal:  "linear in the number of names; 40,000 in less than 100 ms",
		how:   []string{"`ls DIR > /dev/null` and `ls -l DIR > /dev/null` on fresh mounts, for directories of 10,000 and of 40,000 files."},
		base:  "ext4",
		trials: func(ctx context.Context, l *lab) (trials []trial, _ error) {
			images := map[int]*image{}
			for _, n := range dirSizes() {
				img, err := l.makeImage(ctx, fmt.Sprintf("directory-%d", n), namesImage(n, n))
				if err != nil {
					return nil, err
				}
				images[n] = img
			}
			for _, f := range faces() {
				trials = append(trials, trial{"", f.name, f.needs, func(ctx context.Context, s *scene) (sample, error) {
					got := sample{}
					for _, n := range dirSizes() {
						for _, flag := range []string{"", "-l"} {
							if err := l.look(ctx, f, images[n], n, flag, got); err != nil {
								return nil, err
							}
						}
					}
					return got, nil
				}})
			}
			return trials, nil
		},
	}
	for _, n := range dirSizes() {
		q.columns = append(q.columns, column{lookName(n, ""), seconds}, column{lookName(n, "-l"), seconds})
	}
	return q
}

func dirSizes() []int { return []int{10_000, 40_000} }

func lookName(n int, flag string) string {
	if flag != "" {
		flag = " " + flag
	}
	return fmt.Sprintf("ls%s, %d", flag, n)
}

// look lists a directory on a fresh mount.
func (l *lab) look(ctx context.Context, f face, img *image, n int, flag string, got sample) error {
	_, err := l.perform(ctx, trial{run: func(ctx context.Context, s *scene) (sample, error) {
		v, err := f.show(ctx, s, img)
		if err != nil {
			return nil, err
		}
		u, err := s.sh(ctx, `ls $2 "$1" > /dev/null`, filepath.Join(v.dir, "lib/package-0000"), flag)
		got[lookName(n, flag)] = u.wall.Seconds()
		return got, err
	}})
	return err
}
