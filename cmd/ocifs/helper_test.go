package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestHelperWords(t *testing.T) {
	for line, want := range map[string]bool{
		"/sbin/mount.ocifs alpine /mnt":      true,
		"mount.fuse.ocifs":                   true,
		"/sbin/mount.fuse3.ocifs x /y -o ro": true,
		"ocifs alpine /mnt -o ro,dev,suid":   true, // by mount.fuse3
		"ocifs mount alpine /mnt -o ro":      false,
		"ocifs mount /mnt -o ro":             false,
		"ocifs export /srv/image -o x.tar":   false,
		"ocifs help /x -o y":                 false,
		"ocifs exprot alpine -o x.tar":       false,
		"ocifs moutn alpine /mnt -o ro":      false,
		"ocifs -q /mnt -o ro":                false,
		"ocifs alpine /mnt":                  false,
		"ocifs":                              false,
	} {
		words, ok := helperWords(newApp(), strings.Fields(line))
		if ok != want || ok && !slices.Equal(words, strings.Fields(line)[1:]) {
			t.Errorf("%s: %q, %v", line, words, ok)
		}
	}
}

// TestReadHelper has the lines that util-linux and mount.fuse3 were seen to make.
func TestReadHelper(t *testing.T) {
	for line, want := range map[string]helperLine{
		"alpine /mnt -o rw":                    {args: []string{"alpine", "/mnt"}, options: []string{"rw"}},
		"alpine /mnt -v -f -s -n -o ro,nofail": {args: []string{"alpine", "/mnt"}, options: []string{"ro", "nofail"}, verbose: true, fake: true, sloppy: true},
		"-sfnv a b -oro -o dev -t fuse.ocifs":  {args: []string{"a", "b"}, options: []string{"ro", "dev"}, verbose: true, fake: true, sloppy: true},
		`a b -o ca-file=/x\,y,ro`:              {args: []string{"a", "b"}, options: []string{"ca-file=/x,y", "ro"}},
		"-- -a b":                              {args: []string{"-a", "b"}},
		"-V":                                   {version: true},
		"a --help":                             {args: []string{"a"}, help: true},
	} {
		got, err := readHelper(strings.Fields(line))
		if err != nil || !slices.Equal(got.args, want.args) || !slices.Equal(got.options, want.options) ||
			got.fake != want.fake || got.sloppy != want.sloppy || got.verbose != want.verbose || got.help != want.help || got.version != want.version {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
	for line, want := range map[string]string{
		"a b -x": "unknown flag -x", "a b -o": "-o needs a value", "a b -N /proc/1/ns/mnt": "-N /proc/1/ns/mnt: it is mounted only",
	} {
		if _, err := readHelper(strings.Fields(line)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// asHelper runs ocifs by a helper's name, with no environment but what is
// needed to keep it in its world.
func (w *world) asHelper(args ...string) result {
	w.t.Helper()
	bin, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	link := w.in("mount.ocifs")
	if _, err := os.Lstat(link); err != nil {
		if err := os.Symlink(bin, link); err != nil {
			w.t.Fatal(err)
		}
	}
	cmd := exec.Command(link, args...)
	cmd.Dir, cmd.Env = w.home, slices.DeleteFunc(slices.Clone(w.env), func(e string) bool { return !strings.HasPrefix(e, "OCIFS_") })
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// TestHelper mounts as mount(8) does, without HOME or PATH.
func TestHelper(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	for _, c := range []struct{ options, out string }{
		{"rw", ""},
		{"ro,noauto,nofail,_netdev,user=me,X-mount.mkdir,verify=full,env.OCIFS_LOG_LEVEL=error", ""},
	} {
		if r := w.asHelper(w.ref, w.mnt, "-o", c.options); r != (result{}) {
			t.Errorf("%s: %+v", c.options, r)
		}
		if !w.mounted() {
			t.Errorf("%s: not mounted", c.options)
		}
		w.isDaemon(w.processes()[0])
		w.ok("umount", w.mnt)
	}
	if r := w.asHelper("-v", w.ref, w.mnt, "-s", "-o", "bogus,platform"); r.code != 0 || !strings.HasPrefix(r.out, "mounted "+w.ref+"@sha256:") {
		t.Errorf("%+v", r)
	}
	w.ok("umount", w.mnt)
	if r := w.asHelper("-f", w.ref, w.mnt); r != (result{}) || w.mounted() {
		t.Errorf("fake: %+v, mounted: %v", r, w.mounted())
	}
	w.nothingLeft()
}

// TestHelperRefuses has mount(8)'s exit codes.
func TestHelperRefuses(t *testing.T) {
	needFUSE(t)
	w := newWorld(t)
	if err := os.Mkdir(w.in("alpine"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words string
		code  int
		args  []string
	}{
		{"an image and a mountpoint are wanted, not 1 argument", helperUsage, []string{w.ref}},
		{`unknown option "bogus"`, helperUsage, []string{w.ref, w.mnt, "-o", "ro,bogus"}},
		{"unknown flag -x", helperUsage, []string{w.ref, w.mnt, "-x"}},
		{"-o foreground: mount(8) has it only", helperUsage, []string{w.ref, w.mnt, "-o", "foreground"}},
		{"-o env.: an environment variable", helperUsage, []string{w.ref, w.mnt, "-o", "env.=x"}},
		{"-o env.A: an environment variable", helperUsage, []string{w.ref, w.mnt, "-o", "env.A"}},
		{`--log-level is debug, info, warn or error, not "loud"`, helperUsage, []string{w.ref, w.mnt, "-o", "env.OCIFS_LOG_LEVEL=loud"}},
		{"-o remount: what is mounted can't be changed", helperFailure, []string{w.ref, w.mnt, "-o", "remount,ro"}},
		{"does not exist", helperFailure, []string{w.ref, w.in("nowhere")}},
		{"does not exist", helperFailure, []string{"-f", w.ref, w.in("nowhere")}},
		{"an image in a registry is docker://alpine", helperFailure, []string{w.in("alpine"), w.mnt}},
		{"an image in a registry is docker://mount.ocifs", helperFailure, []string{w.in("mount.ocifs"), w.mnt}},
	} {
		if r := w.asHelper(c.args...); r.code != c.code || r.out != "" || !strings.Contains(r.errors, c.words) || !strings.HasPrefix(r.errors, "ocifs: error: ") {
			t.Errorf("%q: %+v, want exit code %d and …%s…", c.args, r, c.code, c.words)
		}
	}
	// A layout's own troubles are no such thing.
	if r := w.asHelper(w.in("layout")+":nope", w.mnt); r.code != helperFailure || strings.Contains(r.errors, "mount(8)") {
		t.Errorf("%+v", r)
	}
	w.nothingLeft()
}

func TestHelperCode(t *testing.T) {
	for code, want := range map[int]int{exitOK: 0, exitFailure: 32, exitUsage: 1, exitNotFound: 32, exitMount: 32, 130: 8, 143: 8} {
		if got := helperCode(code); got != want {
			t.Errorf("%d: %d, want %d", code, got, want)
		}
	}
}
