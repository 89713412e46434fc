package tree_test

import (
	"fmt"

	"ocifs.dev/ocifs/fs/tree"
	"ocifs.dev/ocifs/index"
)

func ExampleMerge() {
	base := index.New([]index.Entry{
		{Name: "etc/motd", Mode: index.ModeRegular | 0o644},
		{Name: "etc/passwd", Mode: index.ModeRegular | 0o644},
	})
	upper := index.New([]index.Entry{{Name: "etc/.wh.motd", Mode: index.ModeRegular}})
	t, err := tree.Merge([]*index.TOC{base, upper})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := tree.Root; int(n) < t.Len(); n++ {
		fmt.Printf("%d %#o /%s\n", n.Inode(), t.Attr(n).Mode, t.Path(n))
	}
	// Output:
	// 1 040755 /
	// 2 040755 /etc
	// 3 0100644 /etc/passwd
}
