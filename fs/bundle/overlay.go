package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"
)

// OverlaySource is what mount tables show as the device of an [Overlay].
const OverlaySource = "ocifs"

// Overlay mounts, over the image that is mounted on dir, an overlay that can
// be written to: what is written goes to upper/upper, and stays there; beside
// it, upper/work is the overlay's own. With upper "", it goes to memory, and
// ends with the overlay.
//
// The overlay holds on to the image: who unmounts dir takes the overlay off,
// and then the image. It needs root's rights, at least in the user namespace it
// is in (Linux 5.11 there).
func Overlay(dir, upper string) error {
	if upper != "" {
		return overlay(dir, upper)
	}
	// The overlay keeps its layers, whether they are to be seen or not. So
	// the memory has a name only as long as it takes to say which it is.
	upper, err := os.MkdirTemp(filepath.Dir(dir), ".upper-")
	if err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	defer os.Remove(upper)
	if err := unix.Mount("tmpfs", upper, "tmpfs", unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("overlay: tmpfs: %w", err)
	}
	defer unix.Unmount(upper, unix.MNT_DETACH)
	return overlay(dir, upper)
}

func overlay(dir, upper string) error {
	up, work := filepath.Join(upper, "upper"), filepath.Join(upper, "work")
	if err := likeRoot(up, dir); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	if err := os.Mkdir(work, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("overlay: %w", err)
	}
	options := "lowerdir=" + escape(dir) + ",upperdir=" + escape(up) + ",workdir=" + escape(work)
	_, inside, err := Namespace()
	if err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	if inside {
		options += ",userxattr" // there is no trusted.overlay
	}
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("overlay: %w: its paths are too long", unix.ENAMETOOLONG)
	}
	if err := unix.Mount(OverlaySource, dir, "overlay", unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("overlay on %s: %w", dir, err)
	}
	return nil
}

// likeRoot makes the directory up, which an overlay's root looks like, look
// like dir. One that is there is what somebody has made of it.
func likeRoot(up, dir string) error {
	err := os.Mkdir(up, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	if err := os.Lchown(up, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, unix.EINVAL) {
		return err // EINVAL: an owner that the user namespace doesn't know
	}
	return unix.Chmod(up, st.Mode&0o7777)
}

// escape makes path a value in the options of an overlay, where a colon ends a
// lower layer and a comma the option.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `:`, `\:`).Replace(path)
}

// Namespace tells how many ids, from 0, the user namespace of this process
// has, of users and groups alike, and whether it is another than the initial
// one.
func Namespace() (ids int64, inside bool, err error) {
	uids, err := user.CurrentProcessUIDMap()
	if err != nil {
		return 0, false, err
	}
	gids, err := user.CurrentProcessGIDMap()
	if err != nil {
		return 0, false, err
	}
	initial := len(uids) == 1 && uids[0] == user.IDMap{Count: 1<<32 - 1}
	return min(upTo(uids), upTo(gids)), !initial, nil
}

// upTo is the first id from 0 on that isn't mapped.
func upTo(maps []user.IDMap) (ids int64) {
	slices.SortFunc(maps, func(a, b user.IDMap) int { return cmp.Compare(a.ID, b.ID) })
	for _, m := range maps {
		if m.ID == ids {
			ids += m.Count
		}
	}
	return ids
}
