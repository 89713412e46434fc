package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// holdUpper has dir be the place where what is written goes for one container or
// bundle alone, until this process ends, which is the one that serves the image:
// two overlays that write to one directory would spoil it for each other. It is
// a lock on the directory, which leaves nothing behind. "", memory, takes none.
func holdUpper(dir string) error {
	if dir == "" {
		return nil
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("--writable: %s: %w", quote(dir), err)
	}
	for { // fd is closed by the end of the process
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	if err == nil {
		return nil
	}
	unix.Close(fd)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return mountf("--writable: %s is in use by another container or bundle", quote(dir)).
			with("choose another directory, or end that one first: ocifs mounts lists bundles")
	}
	return fmt.Errorf("--writable: %s: lock: %w", quote(dir), err)
}
