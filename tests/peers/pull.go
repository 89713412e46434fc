package main

import (
	"context"
	"os"
	"strings"
	"time"
)

// pull asks what it takes to have all of an image that nobody has indexed.
func pull() question {
	return question{
		name:  "pull",
		title: "All of an image that nobody has indexed",
		goal:  "0.2 × skopeo and umoci, 0.7 × igzip and tar",
		how: []string{
			"With an empty cache, `ocifs mount HOST/IMAGE DIR`, and then every file is read:",
			"`find DIR -xdev -type f -print0 | xargs -0 -n 512 cat > /dev/null`. Against that, all of the image is unpacked,",
			"and then read in the same way: by `skopeo copy docker://HOST/IMAGE oci:LAYOUT` and `umoci unpack`, which",
			"verify it; and by `curl BLOB | igzip -d | tar -x` for one layer after the other, which doesn't,",
			"and is what a pull is limited by.",
		},
		columns: []column{{"until it can be read", seconds}, {"reading", seconds}, {"together", seconds}},
		base:    unpackRow,
		trials:  pullTrials,
	}
}

// Rows that several questions have.
const (
	unpackRow = "skopeo copy, umoci unpack"
	limitRow  = "curl, igzip -d, tar -x"
)

func pullTrials(_ context.Context, l *lab) (trials []trial, _ error) {
	for _, img := range l.images {
		add := func(row string, needs []string, get func(context.Context, *scene, string, link) (string, error)) {
			trials = append(trials, trial{img.name, row, needs, func(ctx context.Context, s *scene) (sample, error) {
				return s.haveAll(ctx, img, link{}, 1, get)
			}})
		}
		add("ocifs", nil, getByMount)
		add(unpackRow, []string{"skopeo", "umoci"}, getByUnpack)
		add(limitRow, []string{"curl", "igzip"}, getByTar(img))
	}
	return trials, nil
}

// haveAll measures how long it takes to get an image's plain form, and then to
// read all of it with a number of readers.
func (s *scene) haveAll(ctx context.Context, img *image, way link, readers int,
	get func(context.Context, *scene, string, link) (string, error),
) (sample, error) {
	begin := time.Now()
	dir, err := get(ctx, s, s.host(way)+"/"+img.name, way)
	if err != nil {
		return nil, err
	}
	got := time.Since(begin)
	u, err := s.sh(ctx, readAll, dir, string(rune('0'+readers)))
	return sample{
		"until it can be read": got.Seconds(),
		"reading":              u.wall.Seconds(),
		"together":             (got + u.wall).Seconds(),
	}, err
}

func getByMount(ctx context.Context, s *scene, repo string, _ link) (string, error) {
	cache, err := s.folder("cache")
	if err != nil {
		return "", err
	}
	m, err := s.mountOcifs(ctx, cache, repo+":latest")
	return m.dir, err
}

func getByUnpack(ctx context.Context, s *scene, repo string, _ link) (string, error) {
	_, err := s.sh(ctx, `cd "$1"
skopeo copy --quiet --src-tls-verify=false "docker://$2:latest" oci:layout:latest
umoci unpack --image layout:latest bundle`, s.dir, repo)
	return s.dir + "/bundle/rootfs", err
}

// getByTar unpacks layers over one another, as they are: whiteouts stay files.
func getByTar(img *image) func(context.Context, *scene, string, link) (string, error) {
	return func(ctx context.Context, s *scene, repo string, _ link) (string, error) {
		host, name, _ := strings.Cut(repo, "/")
		dir, err := s.folder("files")
		if err != nil {
			return "", err
		}
		for _, d := range img.layers {
			url := "http://" + host + "/v2/" + name + "/blobs/" + d.Digest.String()
			if _, err := s.sh(ctx, `curl -sfS "$1" | igzip -dc | tar -x -C "$2"`, url, dir); err != nil {
				return dir, err
			}
		}
		_, err = os.Stat(dir)
		return dir, err
	}
}
