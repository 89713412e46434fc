package tests

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	lt "ocifs.dev/ocifs/tests/layertest"
)

// benchLayer is an archive of some 100 MB in 3,000 files.
func benchLayer() []byte {
	var e []lt.Entry
	for i := range 3000 {
		if i%100 == 0 {
			e = append(e, lt.Dir(fmt.Sprintf("d%02d", i/100)))
		}
		e = append(e, lt.File(fmt.Sprintf("d%02d/f%04d", i/100, i), text(1000+i%50*1400)))
	}
	return lt.Tar(e...)
}

// benchPackings are those that differ in speed.
func benchPackings() []packing { return []packing{packings[0], packings[1], packings[6]} }

// BenchmarkMount mounts and unmounts: cold, with the pass over the layer, and
// warm. Bytes are those of the decoded layer.
func BenchmarkMount(b *testing.B) {
	layer := benchLayer()
	for _, p := range benchPackings() {
		for _, state := range []string{"cold", "warm"} {
			b.Run(p.name+"/"+state, func(b *testing.B) {
				u := newUser(b)
				ref := u.layoutOf(b, lt.Image{Tag: "t", Layers: []lt.Layer{p.pack(layer)}}) + ":t"
				u.mount(b, ref).unmount(b, u)
				b.SetBytes(int64(len(layer)))
				for b.Loop() {
					if state == "cold" {
						os.RemoveAll(u.cache)
					}
					u.mount(b, ref).unmount(b, u)
				}
			})
		}
	}
}

// BenchmarkRead reads every file of a fresh mount: from the cache, and with
// nothing but the index there.
func BenchmarkRead(b *testing.B) {
	layer := benchLayer()
	for _, p := range benchPackings() {
		for _, state := range []string{"lazy", "cached"} {
			if state == "lazy" && p.name == "plain" {
				continue // it is read where it lies, and never cached
			}
			b.Run(p.name+"/"+state, func(b *testing.B) {
				u := newUser(b)
				ref := u.layoutOf(b, lt.Image{Tag: "t", Layers: []lt.Layer{p.pack(layer)}}) + ":t"
				u.mount(b, ref).unmount(b, u)
				b.SetBytes(int64(len(layer)))
				for b.Loop() {
					b.StopTimer()
					if state == "lazy" {
						u.forget(b)
					}
					m := u.mount(b, ref)
					b.StartTimer()
					readAll(b, m.dir)
					b.StopTimer()
					m.unmount(b, u)
					b.StartTimer()
				}
			})
		}
	}
}

// BenchmarkWalk looks at every name of a fresh mount of 100,000 files.
func BenchmarkWalk(b *testing.B) {
	const n = 100_000
	var e []lt.Entry
	for i := range n {
		e = append(e, lt.File(fmt.Sprintf("d%03d/f%05d", i/100, i), ""))
	}
	u := newUser(b)
	ref := u.layoutOf(b, lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(e...))}}) + ":t"
	for b.Loop() {
		b.StopTimer()
		m := u.mount(b, ref)
		b.StartTimer()
		err := filepath.WalkDir(m.dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil {
				_, err = d.Info()
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		m.unmount(b, u)
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "files/s")
}

func readAll(b *testing.B, dir string) {
	b.Helper()
	buf := make([]byte, 128<<10)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}
