package fetch_test

import (
	"io"
	"testing"
	"time"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// BenchmarkRange streams a blob over loopback as it is, and over a link of
// 20 ms and 200 Mbit/s, which can carry 25 MB/s.
func BenchmarkRange(b *testing.B) {
	for _, c := range []struct {
		name string
		link *Link
		size int
		cdn  bool
	}{
		{"loopback/64MiB", nil, 64 << 20, false},
		{"200Mbit/1MiB", NewLink(20*time.Millisecond, 200e6), 1 << 20, false},
		{"200Mbit/8MiB", NewLink(20*time.Millisecond, 200e6), 8 << 20, false},
		{"200Mbit/64MiB", NewLink(20*time.Millisecond, 200e6), 64 << 20, false},
		{"200Mbit/64MiB/cdn", NewLink(20*time.Millisecond, 200e6), 64 << 20, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			reg := Serve(New(Options{CDN: c.cdn}), c.link)
			defer reg.Close()
			d := reg.PutBlob("", noise(c.size))
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				s := open(b, reg.Host+"/a/b:c", fetch.Options{})
				blob := openBlob(b, s, d)
				r := blob.Range(0, blob.Size())
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
				s.Close()
			}
			b.ReportMetric(float64(reg.Count())/float64(b.N), "req/op")
		})
	}
}

// BenchmarkReadAt reads 64 KiB at a time, one after another.
func BenchmarkReadAt(b *testing.B) {
	for _, c := range []struct {
		name string
		link *Link
	}{
		{"loopback", nil},
		{"20ms", NewLink(20*time.Millisecond, 200e6)},
	} {
		b.Run(c.name, func(b *testing.B) {
			reg := Serve(New(Options{CDN: true}), c.link)
			defer reg.Close()
			const size = 16 << 20
			blob := openBlob(b, open(b, reg.Host+"/a/b:c", fetch.Options{}), reg.PutBlob("", noise(size)))
			p := make([]byte, 64<<10)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			var off int64
			for b.Loop() {
				if _, err := blob.ReadAt(p, off); err != nil {
					b.Fatal(err)
				}
				off = (off + int64(len(p))) % size
			}
			b.ReportMetric(float64(reg.Count())/float64(b.N), "req/op")
		})
	}
}
