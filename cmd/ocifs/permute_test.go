package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestReadLine holds the reading of command lines to the rules of
// getopt_long: flags anywhere, "--" ends them, clusters, joined values.
func TestReadLine(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"mount alpine /mnt", "mount -- alpine /mnt"},
		{"mount alpine /mnt --platform linux/arm64", "mount --platform=linux/arm64 -- alpine /mnt"},
		{"mount --platform=linux/arm64 alpine /mnt", "mount --platform=linux/arm64 -- alpine /mnt"},
		{"mount alpine -o ro,suid /mnt -f", "mount --option=ro,suid --foreground=true -- alpine /mnt"},
		{"mount -fd alpine /mnt", "mount --foreground=true --debug=true -- alpine /mnt"},
		{"mount -foro alpine /mnt", "mount --foreground=true --option=ro -- alpine /mnt"},
		{"mount -o=ro -osuid alpine /mnt", "mount --option=ro --option=suid -- alpine /mnt"},
		{"mount --option ro alpine /mnt", "mount --option=ro -- alpine /mnt"},
		{"--log-level debug mount alpine /mnt", "mount --log-level=debug -- alpine /mnt"},
		{"-q mount alpine /mnt -q", "mount --quiet=true --quiet=true -- alpine /mnt"},
		{"mount --json=false alpine /mnt", "mount --json=false -- alpine /mnt"},
		{"mount --tls-verify=false alpine /mnt", "mount --tls-verify=false -- alpine /mnt"},
		{"ls -lahR alpine /etc", "ls --long=true --all=true --human=true --recursive=true -- alpine /etc"},
		{"ls alpine -- -l", "ls -- alpine -l"},
		{"ls alpine -", "ls -- alpine -"},
		{"-- ls alpine", "ls -- alpine"},
		{"ps", "mounts --"},
		{"unmount -l /mnt", "umount --lazy=true -- /mnt"},
		{"tree -L2 alpine", "tree --level=2 -- alpine"},
		{"--version", "version --"},
		{"-V", "version --"},
		{"version --json", "version --json=true --"},
		{"mount --creds u:-p alpine /mnt", "mount --creds=u:-p -- alpine /mnt"},
		{"mount --creds=--p alpine /mnt", "mount --creds=--p -- alpine /mnt"},
		{"mount --cache-dir= alpine /mnt", "mount --cache-dir= -- alpine /mnt"},
		{"run -it alpine ls -l --help", "run --interactive=true --tty=true -- alpine ls -l --help"},
		{"run --rm -e A=b alpine -h", "run --rm=true --env=A=b -- alpine -h"},
		{"run -- alpine -- --version", "run -- alpine -- --version"},
		{"run alpine -- --version", "run -- alpine -- --version"},
		{"run --writable alpine", "run --writable=memory -- alpine"},
		{"run --writable=dir alpine", "run --writable=dir -- alpine"},
		{"bundle alpine -t dir sh -c --help", "bundle --tty=true -- alpine dir sh -c --help"},
	} {
		l, err := readLine(newApp(), strings.Fields(c.line))
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if got := strings.Join(l.words("ocifs")[1:], " "); got != c.want || l.help {
			t.Errorf("%s:\n got %s (help %t)\nwant %s", c.line, got, l.help, c.want)
		}
	}
}

// FuzzReadLine holds that no line is too odd to be read or refused, and that
// what cli is given reads the same again.
func FuzzReadLine(f *testing.F) {
	for _, s := range []string{"mount -fo ro a b", "ls -lh a", "--platform=x mount a --", "-q --json=0 x", "help mount -", "-- ls -- a", "run a -- --b", "bundle a b -c --writable"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := readLine(newApp(), strings.Split(s, " "))
		if err != nil || l.help || len(l.path) == 0 {
			return
		}
		words := l.words("ocifs")[1:]
		again, err := readLine(newApp(), words)
		if err != nil || again.help {
			t.Fatalf("%q became %q: help %t, error %v", s, words, again.help, err)
		}
		if got := again.words("ocifs")[1:]; !slices.Equal(got, words) {
			t.Fatalf("%q became %q, and that %q", s, words, got)
		}
	})
}

// TestReadLineRefuses has every way to mistype a line, and what is said of it.
func TestReadLineRefuses(t *testing.T) {
	for _, c := range []struct{ line, err, hint string }{
		{"moutn alpine /mnt", `unknown command "moutn"`, "did you mean ocifs mount?"},
		{"unmuont /mnt", `unknown command "unmuont"`, "did you mean ocifs unmount?"},
		{"insp alpine", `unknown command "insp"`, "did you mean ocifs inspect?"},
		{"docker.io/library/alpine /mnt", `unknown command "docker.io/library/alpine"`, "to mount an image: ocifs mount docker.io/library/alpine MOUNTPOINT"},
		{"xyzzy", `unknown command "xyzzy"`, "ocifs --help lists the commands"},
		{"xyzzy --help", `unknown command "xyzzy"`, "ocifs --help lists the commands"},
		{"help xyzzy", `unknown command "xyzzy"`, "ocifs --help lists the commands"},
		{"cache xyzzy --help", `unknown command "xyzzy"`, "ocifs cache --help lists the commands"},
		{"dameon", `unknown command "dameon"`, "ocifs --help lists the commands"},
		{"mount alpine /mnt --platfrom x", "ocifs mount has no flag --platfrom", "did you mean --platform?"},
		{"mount alpine /mnt --plat x", "ocifs mount has no flag --plat", "did you mean --platform?"},
		{"mount -platform x alpine /mnt", "ocifs mount has no flag -platform", "did you mean --platform?"},
		{"mount --f alpine /mnt", "ocifs mount has no flag --f", "did you mean -f?"},
		{"mount -fx alpine /mnt", "ocifs mount has no flag -x", "ocifs mount --help lists the flags"},
		{"ls -f alpine", "ocifs ls has no flag -f", "-f is a flag of ocifs mount, cp"},
		{"cat --lazy alpine /x", "ocifs cat has no flag --lazy", "--lazy is a flag of ocifs umount"},
		{"--foreground mount alpine /mnt", "unknown flag --foreground", "the flags of a command follow its name: ocifs mount --foreground"},
		{"--nonsense", "unknown flag --nonsense", "ocifs --help lists the flags"},
		{"mount alpine /mnt --platform", "--platform needs a value", ""},
		{"mount alpine /mnt -o", "-o needs a value", ""},
		{"mount --platform --json alpine /mnt", `--platform needs a value, and "--json" looks like the next flag`, "write --platform=--json if you mean it"},
		{"mount --json=maybe alpine /mnt", `--json is true or false, not "maybe"`, ""},
	} {
		_, err := readLine(newApp(), strings.Fields(c.line))
		if err == nil {
			t.Errorf("%s: no error", c.line)
			continue
		}
		if err.Error() != c.err {
			t.Errorf("%s:\n got %s\nwant %s", c.line, err, c.err)
		}
		if got := strings.Join(hintsOf(err), "; "); got != c.hint {
			t.Errorf("%s:\n got hint %s\nwant hint %s", c.line, got, c.hint)
		}
		if code := exitCode(t.Context(), err); code != exitUsage {
			t.Errorf("%s: exit code %d", c.line, code)
		}
	}
}

// TestHelpAnywhere finds the request for help wherever it stands, also on a
// line that is wrong otherwise; -h is help unless the command has it.
func TestHelpAnywhere(t *testing.T) {
	for line, want := range map[string]string{
		"--help":                      "",
		"-h":                          "",
		"help":                        "",
		"help mount":                  "mount",
		"mount --help":                "mount",
		"mount alpine /mnt --help":    "mount",
		"mount --help --platfrom x":   "mount",
		"mount --platfrom x --help":   "mount",
		"--help mount":                "mount",
		"mount -h":                    "mount",
		"ls --help":                   "ls",
		"umount --all --help":         "umount",
		"mount --platform --help x y": "mount",
	} {
		l, err := readLine(newApp(), strings.Fields(line))
		if err != nil || !l.help {
			t.Errorf("%s: help %t, error %v", line, l.help, err)
			continue
		}
		var got []string
		for _, c := range l.path {
			got = append(got, c.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: help of %q, want %q", line, got, want)
		}
	}
	for _, line := range []string{"ls -h alpine", "ls alpine -- --help", "mount -- -h --help"} {
		if l, err := readLine(newApp(), strings.Fields(line)); err != nil || l.help {
			t.Errorf("%s: help %t, error %v", line, l.help, err)
		}
	}
}

// TestLineSurvivesCLI gives every permuted line to cli and looks at what
// arrives: it must be what the line said.
func TestLineSurvivesCLI(t *testing.T) {
	var args []string
	var level, platform string
	app := &cli.App{
		Name: "ocifs", HideHelp: true, DisableSliceFlagSeparator: true, ExitErrHandler: func(*cli.Context, error) {},
		Flags: globalFlags(),
		Commands: []*cli.Command{leaf(&cli.Command{
			Name: "probe", ArgsUsage: "A B", Flags: []cli.Flag{&cli.StringSliceFlag{Name: "option", Aliases: []string{"o"}}},
			Action: func(cc *cli.Context) error {
				args, level, platform = cc.Args().Slice(), cc.String("log-level"), cc.String("platform")
				args = append(args, cc.StringSlice("option")...)
				return nil
			},
		}, 2, 2)},
	}
	l, err := readLine(app, strings.Fields("--log-level debug probe a -o x,y --platform p help -o z"))
	if err != nil {
		t.Fatal(err)
	}
	if err := app.RunContext(t.Context(), l.words("ocifs")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(args, []string{"a", "help", "x,y", "z"}) || level != "debug" || platform != "p" {
		t.Errorf("arguments %q, log level %s, platform %s", args, level, platform)
	}
}

// TestArguments counts arguments.
func TestArguments(t *testing.T) {
	for line, want := range map[string]string{
		"mount":              "mount: IMAGE is missing",
		"mount alpine":       "mount: MOUNTPOINT is missing",
		"mount alpine /a /b": `mount: unexpected argument "/b"`,
		"cat alpine":         "cat: PATH is missing",
		"version now":        `version: unexpected argument "now"`,
		"inspect a b":        `inspect: unexpected argument "b"`,
	} {
		err := dispatch(t.Context(), newApp(), append([]string{"ocifs"}, strings.Fields(line)...))
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
		if hints := hintsOf(err); len(hints) != 1 || !strings.HasPrefix(hints[0], "usage: ocifs ") {
			t.Errorf("%s: hints %q", line, hints)
		}
		if code := exitCode(t.Context(), err); code != exitUsage {
			t.Errorf("%s: exit code %d", line, code)
		}
	}
}

// TestEnvironment gives flags in the environment: they count as given, lose
// against the line, and are refused with their name when they make no sense.
func TestEnvironment(t *testing.T) {
	t.Setenv("OCIFS_PLATFORM", "linux/arm64")
	t.Setenv("OCIFS_TLS_VERIFY", "false")
	run := func(line string) (string, bool, error) {
		var p string
		var v bool
		c := &cli.Command{Name: "probe"}
		c.Action = func(cc *cli.Context) error {
			p, v = cc.String("platform"), cc.Bool("tls-verify")
			return nil
		}
		app := &cli.App{Name: "ocifs", HideHelp: true, Flags: globalFlags(), Commands: []*cli.Command{leaf(c, 0, 0)}}
		l, err := readLine(app, strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		err = app.RunContext(t.Context(), l.words("ocifs"))
		return p, v, err
	}
	if p, v, err := run("probe"); p != "linux/arm64" || v || err != nil {
		t.Errorf("from the environment: %q %t %v", p, v, err)
	}
	if p, v, err := run("probe --platform x --tls-verify"); p != "x" || !v || err != nil {
		t.Errorf("against the line: %q %t %v", p, v, err)
	}
	t.Setenv("OCIFS_TLS_VERIFY", "perhaps")
	_, _, err := run("probe")
	if err == nil || !strings.Contains(err.Error(), "OCIFS_TLS_VERIFY") || exitCode(t.Context(), err) != exitUsage {
		t.Errorf("nonsense in the environment: %v", err)
	}
}

// TestNoDuplicateFlags finds a name that two flags of a command share, which
// cli would notice only when that command runs.
func TestNoDuplicateFlags(t *testing.T) {
	for _, c := range newApp().Commands {
		seen := map[string]bool{}
		for _, f := range c.Flags {
			for _, n := range f.Names() {
				if seen[n] {
					t.Errorf("%s has two flags %s", c.Name, dashed(n))
				}
				seen[n] = true
			}
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"moutn", "mount", 1}, {"mnt", "mount", 2},
		{"platfrom", "platform", 1}, {"abc", "xyz", 3}, {"ü", "u", 2},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
