package main

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// start asks how long a program of a new image takes until it is ready.
func start() question {
	return question{
		name:  "start",
		title: "A program of an image that was never seen here, until it is ready",
		goal:  "ahead of stargz-snapshotter and of the full pull everywhere; with a recorded trace, 1.3 × what the bytes take",
		how: []string{
			"From the start of the mount, or of the pull, with an empty cache, to the end of the program, which runs by chroot:",
			"`python3 -c 'import numpy, scipy'`, a server of node.js with express until it listens, or gcc making a program",
			"that is run. A trace was recorded before by `ocifs mount --record-trace FILE`, and is given by `--prefetch trace=FILE`.",
			"*Of the link* is the time over what the bytes that were fetched take at the link's bandwidth.",
		},
		columns: []column{{"ready", seconds}, {"bytes", bytes}, {"of the link", factor}},
		base:    unpackRow,
		trials:  startTrials,
	}
}

// A program is what is started: the first whose file is in the image.
type program struct{ file, script string }

func programs() []program {
	return []program{
		{"srv/app/server.js", `cd /srv/app && node server.js`},
		{"usr/lib/python3/dist-packages/scipy", `python3 -c 'import numpy, scipy'`},
		{"usr/bin/gcc", `echo 'int main(void) { return 0; }' > /tmp/hello.c && gcc -o /tmp/hello /tmp/hello.c && /tmp/hello`},
		{"usr/bin/python3", `python3 -c 'import json, email, http.client'`},
		{"bin/sh", `ls -l /usr/bin > /dev/null`},
	}
}

// programOf chooses an image's program.
func (l *lab) programOf(ctx context.Context, img *image) (program, error) {
	cache, err := l.warmCache(ctx, img)
	if err != nil {
		return program{}, err
	}
	for _, p := range programs() {
		_, err = l.run(ctx, append(l.ocifs(cache, "stat"), "oci:"+img.layout, "/"+p.file)...)
		if err == nil {
			return p, nil
		}
	}
	return program{}, err
}

// begin runs a program in dir, to its end.
func (s *scene) begin(ctx context.Context, dir string, p program) error {
	s.undo.add(func() error { return unmountBelow(filepath.Join(dir, "dev")) })
	s.undo.add(func() error { return unmountBelow(filepath.Join(dir, "tmp")) })
	_, err := s.sh(ctx, `mount --bind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/tmp"
exec chroot "$1" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp /bin/sh -c "$2" > /dev/null`, dir, p.script)
	return err
}

func startTrials(ctx context.Context, l *lab) (trials []trial, _ error) {
	for _, img := range l.images {
		p, err := l.programOf(ctx, img)
		if err != nil {
			return nil, err
		}
		if err := l.bringIndexes(ctx, img); err != nil {
			return nil, err
		}
		trace, err := l.trace(ctx, img, p)
		if err != nil {
			return nil, err
		}
		for _, way := range l.links {
			add := func(row string, needs []string, get getter) {
				trials = append(trials, trial{img.name + ", " + way.String(), row, needs,
					func(ctx context.Context, s *scene) (sample, error) {
						return s.startUp(ctx, img, way, p, get)
					}})
			}
			for _, z := range lazy() {
				add(z.row, z.needs, z.get)
			}
			add("ocifs, ocifs index, trace", nil, func(ctx context.Context, s *scene, img *image, way link) (string, error) {
				return s.mountNew(ctx, img, indexed, way, "--prefetch", "trace="+trace)
			})
			add(unpackRow, []string{"skopeo", "umoci"}, func(ctx context.Context, s *scene, img *image, way link) (string, error) {
				return getByUnpack(ctx, s, s.host(way)+"/"+img.name, way)
			})
			add(limitRow, []string{"curl", "igzip"}, func(ctx context.Context, s *scene, img *image, way link) (string, error) {
				return getByTar(img)(ctx, s, s.host(way)+"/"+img.name, way)
			})
		}
	}
	return trials, nil
}

func (s *scene) startUp(ctx context.Context, img *image, way link, p program, get getter) (sample, error) {
	s.registry.Reset()
	begin := time.Now()
	dir, err := get(ctx, s, img, way)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, dir, p); err != nil {
		return nil, err
	}
	took, n := time.Since(begin), s.registry.Bytes()
	got := sample{"ready": took.Seconds(), "bytes": float64(n)}
	if t := way.transfer(n); t > 0 {
		got["of the link"] = took.Seconds() / t.Seconds()
	}
	return got, nil
}

// trace records what a program reads.
func (l *lab) trace(ctx context.Context, img *image, p program) (string, error) {
	return l.prepare(ctx, img.name+".trace", func(path string) error {
		s, err := l.scene()
		if err != nil {
			return err
		}
		defer s.strike()
		record := filepath.Join(s.dir, "trace")
		dir, err := s.mountNew(ctx, img, indexed, link{}, "--record-trace", record)
		if err != nil {
			return err
		}
		if err := s.begin(ctx, dir, p); err != nil {
			return err
		}
		if err := unmountBelow(filepath.Join(dir, "tmp")); err != nil {
			return err
		}
		if err := unmountBelow(filepath.Join(dir, "dev")); err != nil {
			return err
		}
		if err := s.umountOcifs(dir); err != nil {
			return err
		}
		return os.Rename(record, path)
	})
}
