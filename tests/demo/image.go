package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// How much of this machine goes into the image, before compression.
const (
	systemBudget = 300 << 20
	goBudget     = 300 << 20
)

// A machine is an image made of this machine's files.
type machine struct {
	gzip    []registrytest.Layer
	estargz []registrytest.Layer // the same layers, with an index in each
	files   int
	plain   int64  // bytes of its layers before compression
	size    int64  // and after, with gzip
	goDir   string // where the image has Go
	shell   program
}

// readMachine makes an image of parts of this machine: a layer of programs
// and what they need, one with Go, and a small one that changes both. dir is
// for temporary files.
func readMachine(dir string) (*machine, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	m := &machine{goDir: strings.TrimSpace(string(out))}
	m.shell, err = findProgram("sh")
	if err != nil {
		return nil, err
	}
	contents := []func(*layer) error{m.system, m.golang, m.changes}
	m.gzip = make([]registrytest.Layer, len(contents))
	m.estargz = make([]registrytest.Layer, len(contents))
	layers := make([]*layer, len(contents))
	var g errgroup.Group
	for i, fill := range contents {
		g.Go(func() (err error) {
			layers[i], err = newLayer(dir)
			if err != nil {
				return err
			}
			defer layers[i].file.Close()
			if err := layers[i].close(fill(layers[i])); err != nil {
				return err
			}
			if m.gzip[i], err = layers[i].gzip(); err != nil {
				return err
			}
			m.estargz[i], err = layers[i].estargz()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, l := range layers {
		m.files += l.files
		m.plain += l.plain
		m.size += int64(len(m.gzip[i].Blob))
	}
	return m, nil
}

// system is a shell, a few programs, and as much of /usr as the budget holds.
func (m *machine) system(l *layer) error {
	for _, name := range m.shell.files() {
		if err := l.path(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"ls", "cat", "env"} {
		p, err := findProgram(name)
		if err != nil {
			continue
		}
		for _, f := range p.files() {
			if err := l.path(f); err != nil {
				return err
			}
		}
	}
	for _, dir := range []string{"/etc/passwd", "/etc/os-release", "/usr/bin", "/usr/lib", "/usr/share"} {
		if err := l.tree(dir, systemBudget); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) golang(l *layer) error { return l.tree(m.goDir, goBudget) }

// changes is a layer as a Dockerfile's last lines make them: something new,
// something gone.
func (m *machine) changes(l *layer) error {
	_, err := l.Write(layertest.Members(
		layertest.File("etc/motd", "This image was a machine.\n"),
		layertest.Whiteout(strings.TrimPrefix(filepath.Join(m.goDir, "test"), "/")),
	))
	return err
}

// A layer is an archive in the making, in a file without a name.
type layer struct {
	files int
	plain int64 // bytes written

	file *os.File
	tar  *tar.Writer
	seen map[string]bool
}

func newLayer(dir string) (*layer, error) {
	f, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return nil, err
	}
	l := &layer{file: f, seen: map[string]bool{"/": true}}
	l.tar = tar.NewWriter(l)
	return l, os.Remove(f.Name())
}

// Write takes bytes of the archive.
func (l *layer) Write(p []byte) (int, error) {
	l.plain += int64(len(p))
	return l.file.Write(p)
}

// close ends the archive; err is what went wrong before.
func (l *layer) close(err error) error { return errors.Join(err, l.tar.Close()) }

// gzip is the layer as most are stored.
func (l *layer) gzip() (registrytest.Layer, error) {
	var blob bytes.Buffer
	w, sum := gzip.NewWriter(&blob), digest.SHA256.Digester()
	_, err := io.Copy(io.MultiWriter(w, sum.Hash()), io.NewSectionReader(l.file, 0, l.plain))
	err = errors.Join(err, w.Close())
	return registrytest.Layer{
		MediaType: ocispec.MediaTypeImageLayerGzip, Blob: blob.Bytes(), DiffID: sum.Digest(),
	}, err
}

// estargz is the layer as stargz-snapshotter's tools store it: every file
// compressed on its own, and a table of contents at the end.
func (l *layer) estargz() (registrytest.Layer, error) {
	b, err := estargz.Build(io.NewSectionReader(l.file, 0, l.plain), estargz.WithCompressionLevel(gzip.DefaultCompression))
	if err != nil {
		return registrytest.Layer{}, err
	}
	blob, err := io.ReadAll(b)
	return registrytest.Layer{
		MediaType: ocispec.MediaTypeImageLayerGzip, Blob: blob, DiffID: b.DiffID(),
		Annotations: map[string]string{estargz.TOCJSONDigestAnnotation: b.TOCDigest().String()},
	}, errors.Join(err, b.Close())
}

// tree adds dir and all below it, in order, until the layer holds budget
// bytes. What this user may not read stays out.
func (l *layer) tree(dir string, budget int64) error {
	if err := l.path(dir); err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if l.plain > budget {
			return filepath.SkipAll
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		return l.entry(name, info)
	})
}

// path adds one file under its name here, with the directories above it, the
// symbolic links on the way, and where they lead.
func (l *layer) path(name string) error {
	at, parts := "/", split(name)
	for links := 0; len(parts) > 0; {
		next := filepath.Join(at, parts[0])
		parts = parts[1:]
		info, err := os.Lstat(next)
		if err != nil {
			return nil
		}
		if err := l.entry(next, info); err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > 40 {
			return nil
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		parts = append(split(target), parts...)
	}
	return nil
}

func split(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

// entry adds one file, link or directory, once.
func (l *layer) entry(name string, info fs.FileInfo) error {
	if l.seen[name] {
		return nil
	}
	var link string
	if info.Mode()&fs.ModeSymlink != 0 {
		link, _ = os.Readlink(name)
	}
	if !info.IsDir() && !info.Mode().IsRegular() && link == "" {
		return nil
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = strings.TrimPrefix(name, "/")
	if info.IsDir() {
		h.Name += "/"
	}
	var body []byte
	if info.Mode().IsRegular() {
		if body, err = os.ReadFile(name); err != nil {
			return nil
		}
		h.Size = int64(len(body))
	}
	l.seen[name] = true
	l.files++
	if err := l.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err = l.tar.Write(body)
	return err
}

// sum is the SHA-256 of a file, read to its end.
func sum(name string) ([32]byte, int64, error) {
	var s [32]byte
	f, err := os.Open(name)
	if err != nil {
		return s, 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return [32]byte(h.Sum(nil)), n, err
}

// entries is the number of names in a directory, and the first few.
func entries(dir string) (int, []string, error) {
	list, err := os.ReadDir(dir)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return len(names), names[:min(len(names), 6)], err
}
