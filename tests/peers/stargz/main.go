// Command stargz mounts an image with eStargz layers by the file system of
// stargz-snapshotter, as containerd has it do: a FUSE mount for each layer, and
// an overlay over them. It is one of the peers that ocifs is compared with, and
// a module of its own, so that ocifs depends on nothing of this.
//
//	stargz HOST/NAME:TAG MOUNTPOINT WORKDIR
//
// It prints "ready", and serves until SIGTERM or SIGINT.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/log"
	"github.com/containerd/stargz-snapshotter/estargz"
	stargzfs "github.com/containerd/stargz-snapshotter/fs"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/snapshot"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: stargz HOST/NAME:TAG MOUNTPOINT WORKDIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLevel("error")
	m := mount{ref: os.Args[1], dir: os.Args[2], work: os.Args[3]}
	err := m.up(ctx)
	if err == nil {
		fmt.Println("ready")
		<-ctx.Done()
	}
	if err := errors.Join(err, m.down()); err != nil {
		fmt.Fprintln(os.Stderr, "stargz:", err)
		os.Exit(1)
	}
}

// A mount is an image on a directory.
type mount struct {
	ref, dir, work string

	mu     sync.Mutex // guards mounts
	mounts []string
}

// up mounts the image.
func (m *mount) up(ctx context.Context) error {
	manifest, err := m.manifest(ctx)
	if err != nil {
		return err
	}
	filesystem, err := stargzfs.NewFilesystem(filepath.Join(m.work, "cache"), config.Config{NoPrometheus: true})
	if err != nil {
		return err
	}
	// containerd may prepare the layers of an image side by side.
	dirs := make([]string, len(manifest.Layers))
	errs := make([]error, len(manifest.Layers))
	var wg sync.WaitGroup
	for i := range manifest.Layers {
		dirs[i] = filepath.Join(m.work, fmt.Sprint("layer", i))
		wg.Go(func() { errs[i] = m.layer(ctx, filesystem, manifest, i, dirs[i]) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// An overlay takes two directories at least; the topmost comes first.
	empty := filepath.Join(m.work, "empty")
	if err := os.MkdirAll(empty, 0o755); err != nil {
		return err
	}
	slices.Reverse(dirs)
	options := "lowerdir=" + strings.Join(append([]string{empty}, dirs...), ":")
	if err := unix.Mount("overlay", m.dir, "overlay", unix.MS_RDONLY, options); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	m.mounted(m.dir)
	return nil
}

func (m *mount) mounted(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mounts = append(m.mounts, dir)
}

// manifest fetches what containerd fetches before it prepares layers.
func (m *mount) manifest(ctx context.Context) (manifest ocispec.Manifest, err error) {
	resolver := docker.NewResolver(docker.ResolverOptions{
		Hosts: docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost)),
	})
	name, desc, err := resolver.Resolve(ctx, m.ref)
	if err != nil {
		return manifest, err
	}
	fetcher, err := resolver.Fetcher(ctx, name)
	if err != nil {
		return manifest, err
	}
	if err := fetch(ctx, fetcher, desc, &manifest); err != nil {
		return manifest, err
	}
	var image ocispec.Image
	return manifest, fetch(ctx, fetcher, manifest.Config, &image)
}

func fetch(ctx context.Context, fetcher remotes.Fetcher, d ocispec.Descriptor, v any) error {
	r, err := fetcher.Fetch(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	return json.NewDecoder(r).Decode(v)
}

// layer mounts one layer, with the labels that containerd would give it.
func (m *mount) layer(ctx context.Context, filesystem snapshot.FileSystem, manifest ocispec.Manifest, i int, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var above []string
	for _, l := range manifest.Layers[i:] {
		above = append(above, l.Digest.String())
	}
	l := manifest.Layers[i]
	labels := map[string]string{
		"containerd.io/snapshot/remote/stargz.reference": m.ref,
		"containerd.io/snapshot/remote/stargz.digest":    l.Digest.String(),
		"containerd.io/snapshot/remote/stargz.layers":    strings.Join(above, ","),
		estargz.TOCJSONDigestAnnotation:                  l.Annotations[estargz.TOCJSONDigestAnnotation],
	}
	if err := filesystem.Mount(ctx, dir, labels); err != nil {
		return fmt.Errorf("layer %d: %w", i, err)
	}
	m.mounted(dir)
	return nil
}

// down unmounts all that is mounted, the overlay first.
func (m *mount) down() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, dir := range slices.Backward(m.mounts) {
		errs = append(errs, unix.Unmount(dir, unix.MNT_DETACH))
	}
	return errors.Join(errs...)
}
