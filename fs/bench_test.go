package fs_test

import (
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"testing"

	"ocifs.dev/ocifs/fs"
)

// remount mounts src on dir anew: a kernel that knows nothing of it.
func remount(b *testing.B, dir string, src fs.Source) func() {
	b.Helper()
	s, err := fs.Mount(dir, src, fs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	pollOnce(b, dir)
	return func() {
		if err := s.Unmount(); err != nil {
			b.Fatal(err)
		}
		s.Wait()
	}
}

// BenchmarkWalk lists 20,000 files in 200 directories, with their attributes.
func BenchmarkWalk(b *testing.B) {
	const files = 20000
	src := source(b, func(f *fake) {
		for i := range files {
			f.file(fmt.Sprintf("%03d/%03d", i/100, i%100), "x")
		}
	})
	look := func(dir string) {
		n := 0
		walk(b, dir, func(_ string, d iofs.DirEntry) {
			if _, err := d.Info(); err != nil {
				b.Error(err)
			}
			n++
		})
		if n < files {
			b.Fatal(n, "files")
		}
	}
	perFile := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
	}
	b.Run("cold", func(b *testing.B) {
		needFUSE(b)
		dir := b.TempDir()
		detachLater(b, dir)
		for b.Loop() {
			b.StopTimer()
			unmount := remount(b, dir, src)
			b.StartTimer()
			look(dir)
			b.StopTimer()
			unmount()
			b.StartTimer()
		}
		perFile(b)
	})
	b.Run("warm", func(b *testing.B) {
		m := mount(b, src, fs.Options{})
		look(m.dir)
		for b.Loop() {
			look(m.dir)
		}
		perFile(b)
	})
}

// BenchmarkReadFile reads one file of 64 MiB from beginning to end.
func BenchmarkReadFile(b *testing.B) {
	const size = 64 << 20
	src := source(b, func(f *fake) { f.file("f", noise(size)) })
	buf := make([]byte, 1<<20)
	read := func(dir string) {
		f, err := os.Open(dir + "/f")
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf); n != size || err != nil {
			b.Fatal(n, err)
		}
	}
	b.Run("cold", func(b *testing.B) {
		needFUSE(b)
		dir := b.TempDir()
		detachLater(b, dir)
		b.SetBytes(size)
		for b.Loop() {
			b.StopTimer()
			unmount := remount(b, dir, src)
			b.StartTimer()
			read(dir)
			b.StopTimer()
			unmount()
			b.StartTimer()
		}
	})
	b.Run("warm", func(b *testing.B) {
		m := mount(b, src, fs.Options{})
		read(m.dir)
		b.SetBytes(size)
		for b.Loop() {
			read(m.dir)
		}
	})
}
