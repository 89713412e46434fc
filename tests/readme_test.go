package tests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A readmeBlock is an indented block of README.md: commands and what they
// print; without a prompt, lines that are taken for commands.
type readmeBlock struct {
	steps []readmeStep
}

// first is the block's first command, by which it is known.
func (b readmeBlock) first() string { return b.steps[0].command }

// A readmeStep is a command, and what README.md shows of its output: perhaps
// nothing, which says nothing.
type readmeStep struct{ command, output string }

// A readmeSession says how a block is run.
type readmeSession struct {
	before  string             // in the shell, first
	instead map[string]string  // commands, and what is run for them
	not     map[string]string  // commands that are not run, and why
	need    func(t *testing.T) // skips where the block can't run; nil: it can
}

// readmeSessions has every block of README.md, by its first command.
func readmeSessions() map[string]readmeSession {
	const (
		mount8 = "mount -t ocifs docker.io/library/python:3.13 /mnt/py -o platform=linux/arm64"
		record = "ocifs mount --record-trace start.jsonl ghcr.io/o/r:v1 /mnt/r"
		fstab  = "docker.io/library/python:3.13 /mnt/py ocifs noauto,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=10min 0 0"
		unit   = "mkdir -p /etc/ocifs && echo IMAGE=docker.io/library/python:3.13 > /etc/ocifs/mnt-py.env"
		hosts  = "/etc/containerd/certs.d/docker.io/hosts.toml"
	)
	return map[string]readmeSession{
		"ocifs mount registry.example/machine mnt": {not: map[string]string{
			`chroot mnt sh -c 'read line < /etc/motd; …'`: "README.md leaves out a part of it; make demo runs it",
		}},
		"ocifs index push 127.0.0.1:5000/go:v1":                             {},
		"ocifs run --rm 127.0.0.1:5000/python:3.13 python3 -c 'print(6*7)'": {need: func(t *testing.T) { needContainers(t) }},
		"ocifs mount registry.example/shop:v2 mnt":                          {},
		"ocifs mounts": {before: "ocifs mount python:3.13 /mnt/py", instead: map[string]string{
			"ocifs stats --watch /mnt/py":                                  "ocifs stats --watch --json /mnt/py | head -1", // else it ends with the mount
			"curl --unix-socket /run/ocifs/ID/socket http://mount/metrics": `curl -sS --fail --unix-socket "$(ls -d /run/ocifs/*/socket)" http://mount/metrics`,
		}},
		"ocifs cache warm python:3.13": {},
		record:                         {instead: map[string]string{record: record + " && cat /mnt/r/bin/program > /dev/null"}},
		"ocifs mount --verify-key cosign.pub ghcr.io/o/r:v1 /mnt/r": {},
		"ocifs find --perm /6000 -l python:3.13":                    {},
		"make build": {not: map[string]string{
			"make build":        "the tests run what it builds",
			"sudo make install": "it changes this machine",
			"make deb && sudo dpkg -i bin/dist/ocifs_*.deb": "it changes this machine, and needs dpkg",
		}},
		// mount(8) finds what it runs in /sbin only: TestMount8 has it do so.
		mount8: {instead: map[string]string{mount8: strings.Replace(mount8, "mount -t ocifs", "mount.ocifs", 1)}},
		fstab:  {not: map[string]string{fstab: "a line of fstab, for systemd; TestMount8 has one"}},
		unit: {not: map[string]string{
			unit:                                  "it changes this machine",
			"systemctl enable --now ocifs@mnt-py": "it changes this machine, and needs systemd",
		}},
		hosts: {not: map[string]string{hosts: "a file"}},
		"ocifs mount --range-align=4MiB docker.io/library/python:3.13 /mnt/py": {},
	}
}

// readmePrograms are those that the blocks may run; what else README.md names,
// this test is to be told of.
var readmePrograms = []string{"ocifs", "export", "cat", "ls", "curl", "runc", "sha256sum", "mount"}

// TestReadme does what README.md shows, with images of its own in the place of
// those that it names, and holds what comes out to what README.md prints: words
// must be equal, numbers, digests and paths may be others.
func TestReadme(t *testing.T) {
	needFUSE(t)
	needRoot(t, "mount in the background, and make containers")
	host, key := readmeRegistry(t)
	sessions := readmeSessions()
	for _, b := range readReadme(t) {
		s, ok := sessions[b.first()]
		if !ok {
			t.Errorf("README.md has a block that this test doesn't know: %s", b.first())
			continue
		}
		delete(sessions, b.first())
		t.Run(b.first(), func(t *testing.T) {
			if s.need != nil {
				s.need(t)
			}
			newReader(t, host, key).follow(t, b, s)
		})
	}
	for first := range sessions {
		t.Errorf("README.md has no block that begins %s", first)
	}
}

// readReadme takes the indented blocks out of README.md. A prompt after an
// empty line begins a new one.
func readReadme(t *testing.T) (blocks []readmeBlock) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`  +\S.*$`)
	outside, blank, prompted := true, false, false
	for line := range strings.Lines(string(text)) {
		body, indented := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
		if line == "\n" {
			blank = true
			continue
		} else if !indented {
			outside = true
			continue
		}
		prompt := strings.HasPrefix(body, "$ ") || strings.HasPrefix(body, "# ")
		if outside || blank && prompt {
			blocks, prompted = append(blocks, readmeBlock{}), prompt
		}
		b := &blocks[len(blocks)-1]
		if prompt || !prompted {
			b.steps = append(b.steps, readmeStep{command: comment.ReplaceAllString(strings.TrimLeft(body, "$# "), "")})
		} else {
			b.steps[len(b.steps)-1].output += body + "\n"
		}
		outside, blank = false, false
	}
	return blocks
}

// A reader is a user who tries what README.md says.
type reader struct {
	*user
	places *strings.Replacer // README.md's directories, and where they are here
}

// newReader makes a reader to whom the registries of README.md are the one at
// host, with cosign.pub at hand.
func newReader(t *testing.T, host string, key []byte) *reader {
	t.Helper()
	u := newUser(t)
	bin, err := filepath.Abs(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	conf := "unqualified-search-registries = [\"docker.io\"]\n"
	for _, name := range []string{"docker.io", "ghcr.io", "registry.example", "127.0.0.1:5000"} {
		conf += fmt.Sprintf("[[registry]]\nprefix = %q\nlocation = %q\ninsecure = true\n", name, host)
	}
	for _, dir := range []string{"bin", "mnt", "at/py", "at/r", "srv", "state"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(u.home, dir), 0o700))
	}
	for name, body := range map[string]string{"registries.conf": conf, "cosign.pub": string(key)} {
		err = errors.Join(err, os.WriteFile(filepath.Join(u.home, name), []byte(body), 0o700))
	}
	for _, name := range []string{"ocifs", "mount.ocifs"} {
		err = errors.Join(err, os.Symlink(bin, filepath.Join(u.home, "bin", name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	u.env = append(u.env, "PATH="+u.home+"/bin:"+os.Getenv("PATH"), "TMPDIR="+u.home,
		"OCIFS_REGISTRIES_CONF="+u.home+"/registries.conf")
	return &reader{u, strings.NewReplacer("/mnt/", u.home+"/at/", "/srv/", u.home+"/srv/", "/run/ocifs/", u.home+"/state/")}
}

// follow runs a block's commands in one shell, and looks at what each has said.
func (r *reader) follow(t *testing.T, b readmeBlock, s readmeSession) {
	t.Helper()
	s.mustBeShown(t, b)
	script := "runc() { command runc --root \"$HOME/runc\" \"$@\"; }\n" + s.before + "\n"
	var run []readmeStep
	for _, step := range b.steps {
		if why := r.unable(t, s, step.command); why != "" {
			t.Logf("not run: %s: %s", step.command, why)
			continue
		}
		run = append(run, step)
		command := step.command
		if instead, ok := s.instead[command]; ok {
			command = instead
		}
		if strings.HasPrefix(command, "ocifs mount ") { // README.md leaves out that the one before was unmounted
			script += "command ocifs umount --quiet --all\n"
		}
		script += "echo; echo '=== step'\n" + command + "\necho \"=== $?\"\n"
	}
	if len(run) == 0 {
		t.Skip("nothing of it is run")
	}
	out := r.shell(t, r.places.Replace(script))
	said := strings.Split(out, "\n=== step\n")[1:]
	if len(said) != len(run) {
		t.Fatalf("%d of %d commands ran:\n%s", len(said), len(run), out)
	}
	for i, step := range run {
		text, code, _ := strings.Cut(said[i], "=== ")
		if code, _, _ = strings.Cut(code, "\n"); code != "0" || strings.Contains(text, "ocifs: error: ") { // a pipe has its last command's code
			t.Errorf("%s\nexit %s: %s", step.command, code, text)
		} else if want := shape(r.places.Replace(step.output)); step.output != "" && !want.MatchString(text) {
			t.Errorf("%s\nREADME.md shows\n%sbut it prints\n%s", step.command, step.output, text)
		}
	}
}

// mustBeShown fails the test for what it says of commands that b doesn't have.
func (s readmeSession) mustBeShown(t *testing.T, b readmeBlock) {
	t.Helper()
	for _, known := range []map[string]string{s.instead, s.not} {
		for command := range known {
			if !slices.ContainsFunc(b.steps, func(step readmeStep) bool { return step.command == command }) {
				t.Errorf("README.md no longer has the command %s", command)
			}
		}
	}
}

// unable says why a command is not run, if it is not, and fails the test for
// one that begins with a program unheard of.
func (r *reader) unable(t *testing.T, s readmeSession, command string) string {
	t.Helper()
	if why := s.not[command]; why != "" {
		return why
	}
	for _, part := range regexp.MustCompile(`&&|\|`).Split(command, -1) {
		name := strings.Fields(part)[0]
		if !slices.Contains(readmePrograms, name) {
			t.Errorf("README.md has a command that this test doesn't know: %s", command)
			return "unknown"
		}
		if _, err := exec.LookPath(name); err != nil && name != "ocifs" && name != "export" {
			return name + " is not on PATH"
		}
	}
	return ""
}

// shell runs a script, and unmounts what it has mounted.
func (r *reader) shell(t *testing.T, script string) string {
	t.Helper()
	defer r.run(t, "umount", "--all")
	name := filepath.Join(r.home, "output") // a pipe would have to wait for daemons
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.home, r.env, file, file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait() // each command's exit code is in the output
	out, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	mustNotPanic(t, []string{script}, string(out))
	return string(out)
}

// shape is a pattern of what README.md shows: its words with any space between
// them, any numbers and digests.
func shape(text string) *regexp.Regexp {
	variable := regexp.MustCompile(`…|sha256:[0-9a-f]*|\b[0-9]+(\.[0-9]+)?( [KMGT]?i?B\b)?|\s+`)
	pattern, end := "", 0
	text = strings.TrimSpace(text)
	for _, at := range variable.FindAllStringIndex(text, -1) {
		pattern += regexp.QuoteMeta(text[end:at[0]])
		end = at[1]
		switch v := text[at[0]:at[1]]; {
		case v == "…":
			pattern += `\S*`
		case strings.HasPrefix(v, "sha256:"):
			pattern += `sha256:[0-9a-f]+`
		case strings.HasSuffix(v, "B"):
			pattern += `[0-9]+(\.[0-9]+)? [KMGT]?i?B`
		case strings.TrimSpace(v) == "":
			pattern += `\s+`
		default:
			pattern += `[0-9]+(\.[0-9]+)?`
		}
	}
	return regexp.MustCompile(`^\s*` + pattern + regexp.QuoteMeta(text[end:]) + `\s*$`)
}
