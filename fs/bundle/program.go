package bundle

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/image"
)

// Errors that CheckProgram wraps.
var (
	// ErrNotFound says that the program is not in the image.
	ErrNotFound = errors.New("not in the image")
	// ErrNotExecutable says that it is there, but nothing that can be run.
	ErrNotExecutable = errors.New("not executable")
)

// CheckProgram says whether the image has the program that s runs, as
// execvp(3) would look for it. What may lie in a mount over the image is
// taken for there.
func CheckProgram(img *image.Image, s *specs.Spec) error {
	name := s.Process.Args[0]
	candidates := []string{path.Join(s.Process.Cwd, name)}
	switch {
	case path.IsAbs(name):
		candidates = []string{path.Clean(name)}
	case !strings.Contains(name, "/"):
		candidates = nil
		for dir := range strings.SplitSeq(searchPath(s.Process.Env), ":") {
			candidates = append(candidates, path.Join(s.Process.Cwd, dir, name), path.Join("/", dir, name))
		}
	}
	missing := ErrNotFound
	for _, c := range candidates {
		if slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool { return c == m.Destination || strings.HasPrefix(c, m.Destination+"/") }) {
			return nil
		}
		mode, err := modeOf(img, c)
		switch {
		case err != nil: // the runtime will say
			return nil
		case mode&unix.S_IFMT == unix.S_IFREG && mode&0o111 != 0:
			return nil
		case mode != 0:
			missing = ErrNotExecutable
		}
	}
	if !strings.Contains(name, "/") {
		return fmt.Errorf("program %q: %w, or not in its PATH", name, missing)
	}
	return fmt.Errorf("program %q: %w", name, missing)
}

func searchPath(env []string) string {
	for _, kv := range env {
		if p, ok := strings.CutPrefix(kv, "PATH="); ok {
			return p
		}
	}
	return ""
}
