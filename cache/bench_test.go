package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// warm is a space all of which is present and was checked.
func warm(b *testing.B, c tiles) *Space {
	sp := space(b, open(b, b.TempDir(), 0), "k", c, (&maker{t: c}).fill)
	p := make([]byte, 1<<20)
	for range 2 {
		for off := int64(0); off < sp.Size(); off += 1 << 20 {
			sp.ReadAt(p, off)
		}
		sp.flights.Wait()
	}
	return sp
}

func BenchmarkWarmReadAt(b *testing.B) {
	for name, c := range map[string]tiles{"uniform": uniform(256, 256<<10, 0), "irregular": irregular(4000, 1)} {
		for _, size := range []int{4 << 10, 128 << 10} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				sp, p := warm(b, c), make([]byte, size)
				r := rand.New(rand.NewPCG(1, 1))
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := sp.ReadAt(p, r.Int64N(sp.Size()-int64(size))); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A first read after a start has checksums to compute.
func BenchmarkFirstReadAt(b *testing.B) {
	sp, p := warm(b, uniform(256, 256<<10, 0)), make([]byte, 128<<10)
	b.SetBytes(sp.Size())
	b.ReportAllocs()
	for b.Loop() {
		for i := range sp.checked {
			sp.checked[i].Store(0)
		}
		for off := int64(0); off < sp.Size(); off += int64(len(p)) {
			if _, err := sp.ReadAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkFill(b *testing.B) {
	for _, size := range []int64{4 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			c := uniform(int(64<<20/size), size, 0)
			chunk := content(c, 0)
			s, p := open(b, b.TempDir(), 0), make([]byte, 1<<20)
			b.SetBytes(64 << 20)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				sp := space(b, s, fmt.Sprint(n%2), c, func(first, last int, put func(int, []byte) error) error {
					for i := first; i < last; i++ {
						if err := put(i, chunk); err != nil {
							return err
						}
					}
					return nil
				})
				for off := int64(0); off < sp.Size(); off += 1 << 20 {
					if _, err := sp.ReadAt(p, off); err != nil {
						b.Fatal(err)
					}
				}
				sp.Close()
				s.Remove(KindSpace, fmt.Sprint(n%2))
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	c := uniform(256, 256<<10, 0)
	chunk := content(c, 0)
	s := open(b, b.TempDir(), 0)
	b.SetBytes(64 << 20)
	for b.Loop() {
		bd := s.Build()
		for i := range c {
			start, _ := c.Bounds(i)
			bd.Chunk(i, start, chunk)
		}
		bd.Abort()
	}
}
