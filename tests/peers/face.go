package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A face shows the files of an image, all of which are on this machine, as a
// file system.
type face struct {
	name  string
	needs []string
	show  func(context.Context, *scene, *image) (shown, error)
}

// shown is what a face has made.
type shown struct {
	dir   string
	pid   int           // that serves it; 0: the kernel
	files []string      // that it comes from
	ready time.Duration // what the command took that mounts it
}

// faces are those that questions about file systems compare.
func faces() []face {
	return []face{
		{"ocifs", nil, showOcifs("--face=fuse")},
		{"ocifs, EROFS face", []string{needFace, needErofs}, showOcifs("--face=erofs")},
		{"stargz-snapshotter", []string{needStargz, needOverlay}, showStargz},
		{"squashfuse", []string{"squashfuse", "mksquashfs"}, showSquash},
		{"ext4", []string{"mkfs.ext4"}, showExt4},
		{"EROFS", []string{"mkfs.erofs", needErofs}, showErofs},
		{"overlayfs over ext4", []string{"mkfs.ext4", needOverlay}, showOverlay},
	}
}

// face finds one of faces.
func faceNamed(name string) face {
	for _, f := range faces() {
		if f.name == name {
			return f
		}
	}
	return face{}
}

// showOcifs mounts from a cache that has all of the image.
func showOcifs(flag string) func(context.Context, *scene, *image) (shown, error) {
	return func(ctx context.Context, s *scene, img *image) (shown, error) {
		cache, err := s.warmCache(ctx, img)
		if err != nil {
			return shown{}, err
		}
		if err := s.evict(cache); err != nil {
			return shown{}, err
		}
		var flags []string
		if s.hasFlag("mount", "--face") == nil {
			flags = []string{flag}
		}
		m, err := s.mountOcifs(ctx, cache, "oci:"+img.layout, flags...)
		return shown{m.dir, m.pid, []string{cache}, m.ready}, err
	}
}

func showStargz(ctx context.Context, s *scene, img *image) (shown, error) {
	ref, err := s.ref(ctx, img, estargz, link{})
	if err != nil {
		return shown{}, err
	}
	dir, pid, err := s.mountStargz(ctx, ref)
	return shown{dir: dir, pid: pid, files: []string{filepath.Join(s.dir, "stargz.work")}}, err
}

// unpacked is a directory with the files of the image.
func (l *lab) unpacked(ctx context.Context, img *image) (string, error) {
	cache, err := l.warmCache(ctx, img)
	if err != nil {
		return "", err
	}
	return l.prepare(ctx, img.name+"-files", func(path string) error {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		_, err := l.sh(ctx, `"$1" export --quiet --cache-dir "$2" "oci:$3" | tar -x --numeric-owner --xattrs --xattrs-include='*' -C "$4"`,
			l.binary, cache, img.layout, path)
		return err
	})
}

// disk is a file with a file system that has the files of the image, made by
// a script that gets their directory and the file's name.
func (l *lab) disk(ctx context.Context, img *image, kind, script string) (string, error) {
	tree, err := l.unpacked(ctx, img)
	if err != nil {
		return "", err
	}
	return l.prepare(ctx, img.name+"."+kind, func(path string) error {
		_, err := l.sh(ctx, script, tree, path)
		return err
	})
}

// mountDisk has the script mount a file as a file system on a directory. The
// file's pages are not in memory then,
// unless the scene is warm.
func (s *scene) mountDisk(ctx context.Context, file, script string) (shown, error) {
	if err := s.evict(file); err != nil {
		return shown{}, err
	}
	dir, err := s.folder(filepath.Ext(file)[1:])
	if err != nil {
		return shown{}, err
	}
	s.undo.add(func() error { return unmountBelow(dir) })
	u, err := s.sh(ctx, script, file, dir)
	return shown{dir, 0, []string{file}, u.wall}, err
}

func showExt4(ctx context.Context, s *scene, img *image) (shown, error) {
	file, err := s.disk(ctx, img, "ext4", `
size=$(du -s --block-size=1M --apparent-size "$1" | cut -f1) files=$(find "$1" | wc -l)
truncate -s $((size + files / 128 + files / 2048 + 256))M "$2"
mkfs.ext4 -q -F -m 0 -O ^has_journal -N $((files + 1024)) -d "$1" "$2"`)
	if err != nil {
		return shown{}, err
	}
	return s.mountDisk(ctx, file, `mount -t ext4 -o ro,loop "$1" "$2"`)
}

func showErofs(ctx context.Context, s *scene, img *image) (shown, error) {
	file, err := s.disk(ctx, img, "erofs", `mkfs.erofs --quiet "$2" "$1" >&2`)
	if err != nil {
		return shown{}, err
	}
	return s.mountDisk(ctx, file, `mount -t erofs -o ro,loop "$1" "$2"`)
}

func showSquash(ctx context.Context, s *scene, img *image) (shown, error) {
	file, err := s.disk(ctx, img, "squashfs", `mksquashfs "$1" "$2" -quiet -no-progress -comp zstd -Xcompression-level 3 >&2`)
	if err != nil {
		return shown{}, err
	}
	v, err := s.mountDisk(ctx, file, `squashfuse -o allow_other "$1" "$2"`)
	if err != nil {
		return v, err
	}
	u, err := s.sh(ctx, `pgrep -f -x "squashfuse -o allow_other $1 $2"`, file, v.dir)
	if err == nil {
		_, err = fmt.Sscan(u.out, &v.pid)
	}
	return v, err
}

// showOverlay puts an overlay over ext4, as container engines do.
func showOverlay(ctx context.Context, s *scene, img *image) (shown, error) {
	below, err := showExt4(ctx, s, img)
	if err != nil {
		return shown{}, err
	}
	empty, err := s.folder("empty")
	if err != nil {
		return shown{}, err
	}
	dir, err := s.folder("overlay")
	if err != nil {
		return shown{}, err
	}
	s.undo.add(func() error { return unmountBelow(dir) })
	u, err := s.run(ctx, "mount", "-t", "overlay", "-o", "ro,lowerdir="+empty+":"+below.dir, "overlay", dir)
	return shown{dir, 0, below.files, below.ready + u.wall}, err
}
