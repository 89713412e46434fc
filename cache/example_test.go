package cache_test

import (
	"fmt"
	"os"

	"ocifs.dev/ocifs/cache"
)

// tens tiles a space of 100 bytes by chunks of ten.
type tens struct{}

func (tens) Len() int                    { return 10 }
func (tens) At(off int64) int            { return int(off / 10) }
func (tens) Bounds(i int) (int64, int64) { return int64(i) * 10, int64(i+1) * 10 }

func ExampleSpace_ReadAt() {
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	store, _ := cache.Open(dir, cache.Options{})
	defer store.Close()
	space, _ := store.Space("numbers", tens{}, func(first, last int, put func(int, []byte) error) error {
		fmt.Println("fill", first, "to", last)
		for i := first; i < last; i++ {
			put(i, fmt.Appendf(nil, "%09d\n", i))
		}
		return nil
	})
	defer space.Close()
	p := make([]byte, 20)
	for range 2 {
		n, err := space.ReadAt(p, 35)
		fmt.Printf("%q %v\n", p[:n], err)
	}
	// Output:
	// fill 3 to 6
	// "0003\n000000004\n00000" <nil>
	// "0003\n000000004\n00000" <nil>
}
