package main

import "context"

// remount asks how long a mount takes of what is all on this machine.
func remount() question {
	return question{
		name:  "remount",
		title: "Mounting what is on this machine",
		goal:  "50 ms until it is ready, for an image of 76,000 files",
		how: []string{
			"The command that mounts, from its start to its end: `ocifs mount oci:LAYOUT DIR` with all of the image in the cache,",
			"`mount -o ro,loop FILE DIR`, `squashfuse FILE DIR`. *From disk*: nothing it comes from is in memory. *In memory*: all of it is.",
		},
		columns: []column{{"from disk", seconds}, {"in memory", seconds}},
		trials: func(ctx context.Context, l *lab) (trials []trial, _ error) {
			for _, img := range l.images {
				for _, f := range faces() {
					if f.name == "stargz-snapshotter" {
						continue // it keeps nothing from one mount to the next
					}
					trials = append(trials, trial{img.name, f.name, f.needs, func(ctx context.Context, s *scene) (sample, error) {
						got := sample{}
						for _, column := range []string{"from disk", "in memory"} {
							if err := l.remount(ctx, f, img, column, got); err != nil {
								return nil, err
							}
						}
						return got, nil
					}})
				}
			}
			return trials, nil
		},
	}
}

func (l *lab) remount(ctx context.Context, f face, img *image, column string, got sample) error {
	_, err := l.perform(ctx, trial{run: func(ctx context.Context, s *scene) (sample, error) {
		s.warm = column == "in memory"
		v, err := f.show(ctx, s, img)
		got[column] = v.ready.Seconds()
		return got, err
	}})
	return err
}
