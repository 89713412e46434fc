package main

import (
	"context"
	"path/filepath"
	"time"
)

// first asks how long it takes until one small file of a new image is read.
func first() question {
	return question{
		name:  "first",
		title: "A small file of an image that was never seen here, with an index at hand",
		goal:  "6 round trips and the transfer; half of stargz-snapshotter's time",
		how: []string{
			"With an empty cache, until `cat DIR/etc/os-release` is done. In the registry the image has an ocifs index beside",
			"it (`ocifs index push`), or is in eStargz (`ocifs convert --format estargz`).",
		},
		columns: []column{{"mounted", seconds}, {"read", seconds}, {"in round trips", factor}, {"requests", count}, {"bytes", bytes}},
		base:    stargzRow,
		trials:  firstTrials,
	}
}

// Rows of images that bring an index.
const (
	indexRow   = "ocifs, ocifs index"
	estargzRow = "ocifs, eStargz"
	stargzRow  = "stargz-snapshotter, eStargz"
)

// A getter mounts an image with an empty cache, and says where.
type getter func(ctx context.Context, s *scene, img *image, way link) (dir string, err error)

// lazy are the ways to mount an image that brings an index.
func lazy() []struct {
	row   string
	needs []string
	get   getter
} {
	ocifs := func(f form, flags ...string) getter {
		return func(ctx context.Context, s *scene, img *image, way link) (string, error) {
			return s.mountNew(ctx, img, f, way, flags...)
		}
	}
	return []struct {
		row   string
		needs []string
		get   getter
	}{
		{indexRow, nil, ocifs(indexed)},
		{estargzRow, nil, ocifs(estargz)},
		{stargzRow, []string{needStargz, needOverlay}, getByStargz},
	}
}

// mountNew mounts an image with an empty cache.
func (s *scene) mountNew(ctx context.Context, img *image, f form, way link, flags ...string) (string, error) {
	ref, err := s.ref(ctx, img, f, way)
	if err != nil {
		return "", err
	}
	cache, err := s.folder("cache")
	if err != nil {
		return "", err
	}
	m, err := s.mountOcifs(ctx, cache, ref, flags...)
	return m.dir, err
}

func getByStargz(ctx context.Context, s *scene, img *image, way link) (string, error) {
	ref, err := s.ref(ctx, img, estargz, way)
	if err != nil {
		return "", err
	}
	dir, _, err := s.mountStargz(ctx, ref)
	return dir, err
}

func firstTrials(ctx context.Context, l *lab) (trials []trial, _ error) {
	for _, img := range l.images {
		if err := l.bringIndexes(ctx, img); err != nil {
			return nil, err
		}
		for _, way := range l.links {
			for _, z := range lazy() {
				trials = append(trials, trial{img.name + ", " + way.String(), z.row, z.needs,
					func(ctx context.Context, s *scene) (sample, error) {
						l.registry.Reset()
						begin := time.Now()
						dir, err := z.get(ctx, s, img, way)
						if err != nil {
							return nil, err
						}
						mounted := time.Since(begin)
						if _, err := s.run(ctx, "cat", filepath.Join(dir, "etc/os-release")); err != nil {
							return nil, err
						}
						done := time.Since(begin)
						got := sample{
							"mounted": mounted.Seconds(), "read": done.Seconds(),
							"requests": float64(l.registry.Count()), "bytes": float64(l.registry.Bytes()),
						}
						if way.rtt > 0 {
							got["in round trips"] = done.Seconds() / way.rtt.Seconds()
						}
						return got, nil
					}})
			}
		}
	}
	return trials, nil
}

// bringIndexes makes all forms of an image, so that no trial waits for that.
func (l *lab) bringIndexes(ctx context.Context, img *image) error {
	for _, f := range []form{indexed, estargz} {
		if _, err := l.ref(ctx, img, f, link{}); err != nil {
			return err
		}
	}
	return nil
}
