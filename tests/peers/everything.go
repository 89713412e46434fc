package main

import (
	"context"
	"fmt"
)

// everything asks whether a lazy mount loses where all is read in the end.
func everything() question {
	return question{
		name:  "everything",
		title: "All files of an image that is mounted lazily",
		goal:  "1.1 × the full pull, on any link",
		how: []string{
			"With an empty cache, mounting an image that has an index at hand, and then reading every file, by one reader or by four:",
			"`find DIR -xdev -type f -print0 | xargs -0 -n 512 -P READERS cat > /dev/null`. Against that, pulls as above.",
		},
		columns: []column{{"until it can be read", seconds}, {"reading", seconds}, {"together", seconds}},
		base:    unpackRow,
		trials:  everythingTrials,
	}
}

func everythingTrials(ctx context.Context, l *lab) (trials []trial, _ error) {
	for _, img := range l.images {
		if err := l.bringIndexes(ctx, img); err != nil {
			return nil, err
		}
		for _, way := range l.links {
			add := func(row string, needs []string, readers int, get func(context.Context, *scene, string, link) (string, error)) {
				trials = append(trials, trial{img.name + ", " + way.String(), row, needs,
					func(ctx context.Context, s *scene) (sample, error) {
						return s.haveAll(ctx, img, way, readers, get)
					}})
			}
			for _, z := range lazy() {
				for _, readers := range []int{1, 4} {
					row := fmt.Sprintf("%s, %d readers", z.row, readers)
					if readers == 1 {
						row = z.row + ", 1 reader"
					}
					add(row, z.needs, readers, func(ctx context.Context, s *scene, _ string, way link) (string, error) {
						return z.get(ctx, s, img, way)
					})
				}
			}
			add(unpackRow, []string{"skopeo", "umoci"}, 1, getByUnpack)
			add(limitRow, []string{"curl", "igzip"}, 1, getByTar(img))
		}
	}
	return trials, nil
}
