package main

import "context"

// stargzRef is an image with eStargz layers, mounted by stargz-snapshotter's
// file system: a mount for each layer, and an overlay over them.
func (s *scene) mountStargz(ctx context.Context, ref string) (dir string, pid int, err error) {
	if dir, err = s.folder("stargz"); err != nil {
		return "", 0, err
	}
	work, err := s.folder("stargz.work")
	if err != nil {
		return "", 0, err
	}
	pid, err = s.serve(ctx, s.stargz, ref, dir, work)
	return dir, pid, err
}
