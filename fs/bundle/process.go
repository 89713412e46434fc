package bundle

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"ocifs.dev/ocifs/fs/image"
)

// defaultPath is PATH where the image sets none.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// process is what runs, and as whom.
func process(img *image.Image, o Options) (*specs.Process, error) {
	config := img.Manifest().Config.Config
	p := &specs.Process{
		Terminal:        o.Terminal,
		Args:            args(config.Entrypoint, config.Cmd, o),
		Cwd:             directory(config.WorkingDir, o.Cwd),
		NoNewPrivileges: true,
	}
	if len(p.Args) == 0 {
		return nil, fmt.Errorf("%w: the image names none", ErrNoProgram)
	}
	who := o.User
	if who == "" {
		who = config.User
	}
	user, home, err := findUser(img, who, o.Rootless)
	if err != nil {
		return nil, err
	}
	p.User = user
	p.Env = environment(config.Env, o, home)
	p.Capabilities = capabilities(user.UID == 0)
	return p, nil
}

// args is the command line: entrypoint and arguments, each from the options or
// else from the image. An entrypoint of one's own doesn't know what to do with
// the image's arguments.
func args(entrypoint, cmd []string, o Options) []string {
	if o.Entrypoint != nil {
		entrypoint, cmd = *o.Entrypoint, nil
	}
	if len(o.Args) > 0 {
		cmd = o.Args
	}
	return slices.Concat(entrypoint, cmd)
}

// directory is the first of the working directories that is given, or the root.
func directory(image, option string) string {
	if option != "" {
		image = option
	}
	return path.Join("/", image)
}

// environment is the image's, the options' over it, and what both lack.
func environment(image []string, o Options, home string) []string {
	defaults := []string{defaultPath, "HOME=" + home}
	if o.Terminal {
		defaults = append(defaults, "TERM=xterm")
	}
	var env []string
	for _, kv := range slices.Concat(defaults, image, o.Env) {
		key, _, has := strings.Cut(kv, "=")
		if key == "" || !has || strings.ContainsRune(kv, 0) {
			continue // execve(2) could not pass it on
		}
		if i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, key+"=") }); i >= 0 {
			env[i] = kv
		} else {
			env = append(env, kv)
		}
	}
	return env
}
