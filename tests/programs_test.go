package tests

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	lt "ocifs.dev/ocifs/tests/layertest"
	"ocifs.dev/ocifs/tests/registrytest"
)

// needless are packages that others depend on for what isn't done here: to be
// installed, to trace, to log in somewhere.
var needless = regexp.MustCompile(`^(perl|libperl|dpkg|tar_|debianutils|readline-common|media-types|rpcsvc|` +
	`lib(acl1|asan|com-err|db5|gprofng|gssapi|itm|k5crypto|keyutils|krb5|lsan|md0|ncursesw|nsl|pcre2|readline|selinux|sqlite|tinfo|tirpc|tsan|ubsan))`)

// programs pushes an image with Debian's Python, numpy, Node and C compiler,
// and returns its name.
func programs(t *testing.T, u *user) string {
	t.Helper()
	files := debs(t, tempDir(t), "python3-numpy", "nodejs", "gcc", "libc6-dev", "dash")
	files = slices.DeleteFunc(files, func(name string) bool { return needless.MatchString(filepath.Base(name)) })
	image := lt.Image{Tag: "programs", Layers: make([]lt.Layer, len(files))}
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i, deb := range files {
		g.Go(func() error {
			tar, err := exec.Command("dpkg-deb", "--fsys-tarfile", deb).Output()
			image.Layers[i] = lt.ZstdLayer(tar)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatalf("dpkg-deb: %v", err)
	}
	dir := filepath.Join(u.home, "programs")
	lt.WriteLayout(t, dir, image)
	reg := registrytest.Start(t, registrytest.Options{})
	if err := reg.PushLayout("programs", "", dir); err != nil {
		t.Fatal(err)
	}
	return reg.Host + "/programs:programs"
}

// TestRunPrograms runs, with runc, programs as people have them: from a
// registry, with root's rights and without.
func TestRunPrograms(t *testing.T) {
	needContainers(t)
	needProgram(t, "runc")
	needProgram(t, "newuidmap")
	u := newSomebody(t, "ocifs-test:200000:65536\n")
	ref := programs(t, u)
	for _, who := range []string{"root", "somebody"} {
		if who == "somebody" { // who has root's cache, as it is: nothing is fetched twice
			output(t, "chown", "-R", fmt.Sprint(somebody), u.cache, filepath.Join(u.home, "state"))
		}
		for _, c := range []struct{ name, script, want string }{
			// The paths are what the packages' scripts would have chosen.
			{"numpy", `export LD_LIBRARY_PATH=$(echo /usr/lib/*/blas):$(echo /usr/lib/*/lapack)
				exec python3 -c 'import numpy; print(numpy.linalg.norm(numpy.eye(3) * 2 @ [1, 2, 2]))'`, "6.0\n"},
			{"node", `exec node -e '
				const http = require("http")
				const server = http.createServer((_, r) => r.end("served\n")).listen(0, "127.0.0.1", () =>
					http.get({port: server.address().port, agent: false}, r => r.pipe(process.stdout).on("unpipe", () => server.close())))'`, "served\n"},
			{"gcc", `echo 'int puts(const char *); int main(void) { return puts("compiled") < 0; }' > /hello.c && gcc -o /hello /hello.c && exec /hello`, "compiled\n"},
		} {
			words := []string{"run", "--runtime", "runc", "--tmpfs", "/tmp", ref, "sh", "-c", c.script}
			cmd := u.command(t, words...)
			if who == "somebody" {
				cmd = u.as(t, filepath.Join(u.home, "ocifs"), words...)
			}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil || stdout.String() != c.want || stderr.Len() > 0 {
				t.Errorf("%s, as %s: %v\nstdout: %q, want %q\nstderr: %s", c.name, who, err, &stdout, c.want, &stderr)
			}
		}
	}
	u.nothingLeft(t, u.home+"/state")
}
