package main

import (
	"slices"
	"strings"
	"testing"

	"ocifs.dev/ocifs/fs"
)

func TestSplitOptions(t *testing.T) {
	for in, want := range map[string][]string{
		"":                        nil,
		",":                       nil,
		"ro":                      {"ro"},
		"ro,suid":                 {"ro", "suid"},
		"ro,,suid,":               {"ro", "suid"},
		`ca-file=/a\,b,ro`:        {"ca-file=/a,b", "ro"},
		`x-a=\\,ro`:               {`x-a=\`, "ro"},
		`x-a=\n,ro`:               {`x-a=\n`, "ro"},
		`ro\`:                     {`ro\`},
		`cache_dir=/x=y,suid,dev`: {"cache_dir=/x=y", "suid", "dev"},
	} {
		if got := splitOptions(in); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestReadOptions has options as fstab, mount(8) and users give them.
func TestReadOptions(t *testing.T) {
	for _, c := range []struct {
		in    string
		flags mountFlags
		set   string // flags of the command
	}{
		{"ro,noauto,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=10min,user=me,comment=x", mountFlags{}, ""},
		{"suid,dev", mountFlags{Suid: true, Dev: true}, ""},
		{"suid,nosuid,dev,nodev", mountFlags{}, ""},
		{"nosuid,suid", mountFlags{Suid: true}, ""},
		{"allow_other,exec,noatime,user", mountFlags{AllowOther: true}, ""},
		{"exec,noexec,user", mountFlags{NoExec: true}, ""},
		{"noexec,exec", mountFlags{}, ""},
		{"ro,defaults,default_permissions,async,sync,dirsync,silent,lazytime,nolazytime,atime,noatime,diratime,nodiratime," +
			"relatime,norelatime,strictatime,nostrictatime,auto,noauto,nofail,_netdev,user,users,nouser,owner,group", mountFlags{}, ""},
		{"rw,exec", mountFlags{Writable: true}, ""},
		{"platform=linux/arm64", mountFlags{}, "platform=linux/arm64"},
		{"cache-dir=/a,cache_dir=/b", mountFlags{}, "cache-dir=/a cache-dir=/b"},
		{"plain_http,tls_verify=false", mountFlags{}, "plain-http=true tls-verify=false"},
	} {
		var got mountFlags
		var set []string
		err := readOptions(splitOptions(c.in), &got, leaf(mountCommand(), 2, 2).Flags, func(name, value string) error {
			set = append(set, name+"="+value)
			return nil
		})
		if err != nil || got != c.flags || strings.Join(set, " ") != c.set {
			t.Errorf("%s: got %+v and %q, %v", c.in, got, set, err)
		}
	}
}

func TestReadOptionsRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"suidd":         `-o: unknown option "suidd" (did you mean suid?)`,
		"platfrom=x":    `-o: unknown option "platfrom" (did you mean platform?)`,
		"qqqqqq":        `-o: unknown option "qqqqqq" (ocifs mount --help lists the options; in a value, a comma is written \,)`,
		"o=x":           `-o: unknown option "o" (ocifs mount --help lists the options; in a value, a comma is written \,)`,
		"option=x":      `-o: unknown option "option" (did you mean option?)`,
		"platform":      "-o platform needs a value: platform=… ()",
		"remount":       "-o remount: an image cannot be mounted that way ()",
		"bind":          "-o bind: an image cannot be mounted that way ()",
		"nosymfollow":   `-o: unknown option "nosymfollow" (ocifs mount --help lists the options; in a value, a comma is written \,)`,
		"X-mount.mkdir": `-o: unknown option "X-mount.mkdir" (ocifs mount --help lists the options; in a value, a comma is written \,)`,
		"context=x":     `-o: unknown option "context" (ocifs mount --help lists the options; in a value, a comma is written \,)`,
		"noexec=1":      "-o noexec takes no value ()",
		"ro=1":          "-o ro takes no value ()",
		"retry=lots":    `-o retry: "lots" is no value for it ()`,
		"json=quite":    `-o json: "quite" is no value for it ()`,
		"foreground=":   `-o foreground: "" is no value for it ()`,
	} {
		l, err := readLine(newApp(), []string{"mount", "-o", in, "alpine", "/nonexistent"})
		if err != nil {
			t.Fatal(err)
		}
		err = newApp().RunContext(t.Context(), l.words("ocifs"))
		if err == nil || exitCode(t.Context(), err) != exitUsage {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := err.Error() + " (" + strings.Join(hintsOf(err), "; ") + ")"; got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
}

// TestOptionsOfUsers refuses what fusermount3 would leave out without a word.
func TestOptionsOfUsers(t *testing.T) {
	for _, f := range []mountFlags{{Suid: true}, {Dev: true}} {
		if err := f.check(false); err == nil || exitCode(t.Context(), err) != exitUsage {
			t.Errorf("%+v: %v", f, err)
		}
		if err := f.check(true); err != nil {
			t.Errorf("%+v, with the right to mount: %v", f, err)
		}
	}
	if err := (&mountFlags{NoExec: true, AllowOther: true}).check(false); err != nil {
		t.Error(err)
	}
}

// TestOptionsAct holds mounts to the options they were made with.
func TestOptionsAct(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	for o, want := range map[string]string{"ro": "ro,relatime", "noexec": "ro,noexec,relatime", "nosuid,nodev,noatime": "ro,nosuid,nodev,relatime"} {
		w.ok("mount", "-o", o, w.ref, w.mnt)
		table, err := fs.ReadTable()
		if err != nil {
			t.Fatal(err)
		}
		if m := table.At(w.mnt); m == nil || m.Options != want {
			t.Errorf("-o %s: mounted with %+v, want %s", o, m, want)
		}
		w.ok("umount", w.mnt)
	}
	w.nothingLeft()
}
