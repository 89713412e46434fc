package main

import (
	"context"
	"io"
	"strings"
)

// pass asks how fast the one pass over a layer is that nobody has indexed.
func pass() question {
	return question{
		name:  "pass",
		title: "The pass over layers that nobody has indexed, alone",
		goal:  "500 MB/s of output, and 0.85 × the speed of igzip and sha256sum",
		how: []string{
			"`ocifs index build oci:LAYOUT` with an empty cache: it decodes, verifies both digests, makes the index and",
			"keeps what it has decoded. Against that, for one layer after the other and all at the same time, `sha256sum < BLOB`",
			"and `igzip -dc BLOB | sha256sum`, which is what verifying alone takes.",
		},
		columns: []column{{"output", speed}, {"processor time", seconds}},
		base:    "igzip, sha256sum",
		trials:  passTrials,
	}
}

func passTrials(_ context.Context, l *lab) (trials []trial, _ error) {
	for _, img := range l.images {
		var blobs []string
		for _, d := range img.layers {
			if !strings.HasSuffix(d.MediaType, "gzip") {
				blobs = nil
				break
			}
			blobs = append(blobs, img.blob(d))
		}
		if len(blobs) == 0 {
			continue
		}
		judge := func(u usage, err error) (sample, error) {
			if err != nil {
				return nil, err
			}
			n, err := l.plainSize(blobs)
			return sample{"output": float64(n) / u.wall.Seconds(), "processor time": u.cpu.Seconds()}, err
		}
		trials = append(trials,
			trial{img.name, "ocifs", nil, func(ctx context.Context, s *scene) (sample, error) {
				return judge(s.run(ctx, s.ocifs(s.dir+"/cache", "index", "build", "oci:"+img.layout)...))
			}},
			trial{img.name, "igzip, sha256sum", []string{"igzip"}, func(ctx context.Context, s *scene) (sample, error) {
				return judge(s.sh(ctx, `for b; do sha256sum < $b & igzip -dc $b | sha256sum; wait; done`, blobs...))
			}})
	}
	return trials, nil
}

// plainSize is how much gzip files are, unpacked.
func (l *lab) plainSize(blobs []string) (n int64, err error) {
	for _, b := range blobs {
		size, ok := l.sizes[b]
		if !ok {
			if size, err = gunzipped(b); err != nil {
				return 0, err
			}
			l.sizes[b] = size
		}
		n += size
	}
	return n, nil
}

// gunzipped is how much a gzip file is, unpacked.
func gunzipped(name string) (int64, error) {
	z, err := openGzip(name)
	if err != nil {
		return 0, err
	}
	defer z.Close()
	return io.Copy(io.Discard, z)
}
