package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/klauspost/compress/gzip"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/tests/registrytest"
)

// A comparison has one image in every format, and reads one file of it from
// each: what that takes where nothing of the image was seen before.
type comparison struct {
	binary string
	image  string // "": of this machine's files
	file   string // a path in the image; "": one of Go's, of some 14 KB
	link   *registrytest.Link

	dir  string
	near *registrytest.Server // the registry as those see it who publish there
	far  *registrytest.Server // and through the link
}

// A way is one format, or one index beside another.
type way struct {
	name, tag string
	flags     []string
}

var ways = []way{
	{"eStargz", "estargz", nil},
	{"zstd:chunked", "zstd-chunked", nil},
	{"gzip with a SOCI index", "soci", []string{"--index=trusted"}},
	{"gzip with an ocifs index", "gzip", nil},
	{"zstd with an ocifs index", "zstd", nil},
	{"tar with an ocifs index", "tar", nil},
	{"gzip, no index", "gzip", []string{"--index=local"}},
}

// run publishes the image, and prints a line for each way.
func (c *comparison) run(ctx context.Context) (err error) {
	if c.dir, err = os.MkdirTemp("", "ocifs-formats-"); err != nil {
		return err
	}
	r := registrytest.New(registrytest.Options{Writable: true, Referrers: registrytest.ReferrersAPI{API: true}})
	c.near, c.far = registrytest.Serve(r, nil), registrytest.Serve(r, c.link)
	if err := c.publish(ctx); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmount: requests\tMB\ts\tcat: requests\tMB\ts\t")
	for _, way := range ways {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		line, err := c.measure(way)
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}

// publish has the image in all formats under tags of app.
func (c *comparison) publish(ctx context.Context) error {
	app := c.near.Host + "/app"
	if c.image == "" {
		m, err := readMachine(c.dir)
		if err != nil {
			return err
		}
		c.near.Push("app", "gzip", m.gzip...)
		if c.file == "" {
			c.file = filepath.Join(m.goDir, "src/bufio/scan.go")
		}
	} else if err := c.ocifs("convert", "--format=gzip", c.image, app+":gzip"); err != nil {
		return err
	}
	if err := c.plain(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"convert", "--format=estargz", app + ":gzip", app + ":estargz"},
		{"convert", "--format=zstd:chunked", app + ":gzip", app + ":zstd-chunked"},
		{"convert", "--format=zstd", app + ":gzip", app + ":zstd"},
		{"index", "build", "--format=soci", app + ":gzip", app + ":soci"},
		{"index", "push", app + ":gzip"},
		{"index", "push", app + ":zstd"},
		{"index", "push", app + ":tar"},
	} {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := c.ocifs(args...); err != nil {
			return err
		}
	}
	return nil
}

// plain publishes the layers without compression.
func (c *comparison) plain() error {
	body, _ := c.near.Manifest("app", "gzip")
	var m ocispec.Manifest
	if err := json.Unmarshal(body, &m); err != nil {
		return err
	}
	var layers []registrytest.Layer
	for _, d := range m.Layers {
		resp, err := http.Get(c.near.URL + "/v2/app/blobs/" + d.Digest.String())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, z); err != nil {
			return err
		}
		layers = append(layers, registrytest.Layer{Blob: b.Bytes()})
	}
	c.near.Push("app", "tar", layers...)
	return nil
}

// measure mounts the image and reads the file, with an empty cache.
func (c *comparison) measure(w way) (string, error) {
	if err := os.RemoveAll(filepath.Join(c.dir, "cache")); err != nil {
		return "", err
	}
	mnt := filepath.Join(c.dir, "mnt")
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return "", err
	}
	mount, err := c.costs(func() error {
		return c.ocifs(append([]string{"mount", c.far.Host + "/app:" + w.tag, mnt}, w.flags...)...)
	})
	if err != nil {
		return "", err
	}
	cat, err := c.costs(func() error {
		_, err := os.ReadFile(filepath.Join(mnt, c.file))
		return err
	})
	if e := c.ocifs("umount", mnt); err == nil {
		err = e
	}
	return w.name + "\t" + mount + "\t" + cat + "\t", err
}

// costs tells what came over the link while do did something: requests,
// megabytes, seconds.
func (c *comparison) costs(do func() error) (string, error) {
	c.far.Reset()
	start := time.Now()
	err := do()
	took := time.Since(start)
	return fmt.Sprintf("%d\t%.2f\t%.2f", c.far.Count(), float64(c.far.Bytes())/1e6, took.Seconds()), err
}

func (c *comparison) ocifs(args ...string) error {
	_, err := runOcifs(c.binary, c.dir, args...)
	return err
}

// clean leaves nothing, however far the comparison got.
func (c *comparison) clean() {
	if c.near != nil {
		c.far.Close()
		c.near.Close()
	}
	mnt := filepath.Join(c.dir, "mnt")
	if err := os.Remove(mnt); err != nil && !os.IsNotExist(err) {
		c.ocifs("umount", "--lazy", mnt)
	}
	if err := os.RemoveAll(c.dir); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", strings.TrimSpace(err.Error()))
	}
}
