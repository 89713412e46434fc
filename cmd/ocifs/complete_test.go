package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	images := []string{"docker.io/grafana/loki:3", "docker.io/library/alpine:latest", "oci:/srv/a b"}
	for line, want := range map[string]string{
		"mou":                        "mount mounts",
		"-":                          "--authfile --creds --registry-token --token-host --no-creds",
		"mount --pla":                "--plain-http --platform",
		"--log-level d":              "debug",
		"mount --log-level=":         "--log-level=debug --log-level=info --log-level=warn --log-level=error",
		"ls --index tr":              "trusted",
		"mount --verify ":            "chunk full",
		"ls --platform linux/ar":     "linux/arm64 linux/arm/v7",
		"ls --platform=linux/s":      "--platform=linux/s390x",
		"ls --ca-file ":              ":files",
		"ls --cache-dir ":            ":dirs",
		"mount -o ":                  "",
		"index b":                    "build",
		"index bu":                   "build",
		"completion ":                "bash zsh fish",
		"mount al":                   "alpine:latest :files",
		"ls -l --json docker.io/g":   "docker.io/grafana/loki:3 :files",
		"diff alpine gra":            "grafana/loki:3 :files",
		"mount alpine ":              ":dirs",
		"ls alpine /e":               "",
		"umount ":                    "/mnt/a /mnt/b",
		"umount /mnt/a /mnt/b":       "/mnt/b",
		"mounts /mnt/a ":             "",
		"run alpine ":                ":files",
		"run alpine sh --pla":        ":files",
		"run --runtime b":            "bwrap",
		"ls -- --pla":                ":files",
		"nonsense ":                  strings.Join(commandNames(), " "),
		"mount --nonsense alpine al": "alpine:latest :files",
		"daem":                       "",
		"mount --help-me":            "",
	} {
		c := completer{app: newApp(), images: func() []string { return images }, mounts: func() []string { return []string{"/mnt/a", "/mnt/b"} }}
		c.complete(strings.Split(line, " "))
		var got []string
		for _, f := range c.found {
			word, _, _ := strings.Cut(f, "\t")
			got = append(got, word)
		}
		if line == "-" {
			got = got[:5]
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: got %q, want %q", line, s, want)
		}
	}
}

func commandNames() (names []string) {
	for _, c := range visible(newApp().Commands) {
		names = append(names, c.Name)
	}
	return names
}

// FuzzComplete completes whatever a line may hold.
func FuzzComplete(f *testing.F) {
	for _, s := range []string{"", "mount", "mount -", "--log-level=", "run x -", "ls -- -", "index build --format ", "-abc x", "complete -- x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		none := func() []string { return []string{s} }
		c := completer{app: newApp(), images: none, mounts: none}
		c.complete(strings.Split(s, " "))
		for _, l := range c.found {
			if strings.ContainsAny(l, "\n\x1b") {
				t.Errorf("%q", l)
			}
		}
	})
}

// TestRecent keeps names in order, each once, and no more than there is room for.
func TestRecent(t *testing.T) {
	w := newWorld(t)
	w.ok("ls", w.ref)
	if got := recent(w.in("cache")); !slices.Equal(got, []string{w.ref}) {
		t.Errorf("%q", got)
	}
	if got := recent(w.in("nowhere")); got != nil {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(w.in("nowhere")); err == nil {
		t.Error("looking has made a cache")
	}
}

// TestCompletionScripts runs each script in its shell, where that is installed.
func TestCompletionScripts(t *testing.T) {
	w := newWorld(t)
	w.ok("ls", w.ref)
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.in("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bin, w.in("bin/ocifs")); err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "PATH="+w.in("bin")+":"+os.Getenv("PATH"))
	for shell, script := range map[string]string{
		"bash": `. "$1"; COMP_LINE="ocifs $2" COMP_POINT=$((${#2} + 6)) _ocifs; printf '%s\n' "${COMPREPLY[@]}"; complete -p ocifs >/dev/null`,
		"zsh": `compdef() { :; }; _files() { :; }; _describe() { for f in $found; do print -r -- "${${f//\\:/%}%%:*}"; done }
			. "$1"; words=(ocifs "${(@s: :)2}") CURRENT=$#words PREFIX=$words[-1]; _ocifs`,
		"fish": `source $argv[1]; complete -C "ocifs $argv[2]" | string replace -r '\t.*' ''; true`,
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("no %s here", shell)
			}
			file := w.in(shell)
			if err := os.WriteFile(file, []byte(w.ok("completion", shell)), 0o644); err != nil {
				t.Fatal(err)
			}
			for line, want := range map[string]string{"moun": "mount mounts", "ls --index tr": "trusted", "digest oci:": w.ref} {
				args := []string{"-c", script, shell, file, line}
				if shell == "fish" {
					args = []string{"--no-config", "-c", script, file, line}
				}
				cmd := exec.Command(path, args...)
				cmd.Env, cmd.Dir = w.env, w.home
				out, err := cmd.CombinedOutput()
				got := strings.Join(strings.Fields(string(out)), " ")
				if shell == "bash" && strings.HasSuffix(line, ":") { // bash replaces what is behind the colon
					got = "oci:" + got
				}
				if shell == "zsh" {
					got = strings.ReplaceAll(got, "%", ":")
				}
				if err != nil || got != want {
					t.Errorf("%s: %q, %v, want %q", line, out, err, want)
				}
			}
		})
	}
	w.fails(exitUsage, `no script for "csh"`, "completion", "csh")
}
