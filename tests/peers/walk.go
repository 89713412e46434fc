package main

import "context"

// walk asks what it takes to look at all names of an image.
func walk() question {
	q := question{
		name:  "walk",
		title: "All names of an image, the first time and the second",
		goal:  "the second time, 1.1 × ext4; the first time, half of stargz-snapshotter's, and with the EROFS face less than ext4's",
		how: []string{
			"All of the image is on this machine. For each command the image is mounted anew; nothing of it, nor of the files it",
			"comes from, is in memory. `find DIR -xdev`, `ls -lR DIR`, `du -sx DIR`, `tar -c DIR | cat`, all of them `> /dev/null`.",
		},
		base:   "ext4",
		trials: walkTrials,
	}
	for _, w := range walks() {
		q.columns = append(q.columns, column{w.name, seconds}, column{w.name + ", again", seconds})
	}
	return q
}

func walks() []struct{ name, script string } {
	return []struct{ name, script string }{
		{"find", `find "$1" -xdev > /dev/null`},
		{"ls -lR", `ls -lR "$1" > /dev/null`},
		{"du", `du -sx "$1" > /dev/null`},
		{"tar", `tar -c --one-file-system -C "$1" . | cat > /dev/null`},
	}
}

func walkTrials(ctx context.Context, l *lab) (trials []trial, _ error) {
	for _, img := range l.images {
		for _, f := range faces() {
			trials = append(trials, trial{img.name, f.name, f.needs, func(ctx context.Context, s *scene) (sample, error) {
				got := sample{}
				for _, w := range walks() {
					if err := l.walk(ctx, f, img, w.name, w.script, got); err != nil {
						return nil, err
					}
				}
				return got, nil
			}})
		}
	}
	return trials, nil
}

// walk runs a script twice on a fresh mount.
func (l *lab) walk(ctx context.Context, f face, img *image, name, script string, got sample) error {
	_, err := l.perform(ctx, trial{run: func(ctx context.Context, s *scene) (sample, error) {
		v, err := f.show(ctx, s, img)
		if err != nil {
			return nil, err
		}
		for _, column := range []string{name, name + ", again"} {
			u, err := s.sh(ctx, script, v.dir)
			if err != nil {
				return nil, err
			}
			got[column] = u.wall.Seconds()
		}
		return got, nil
	}})
	return err
}
