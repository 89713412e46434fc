package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
)

func manCommand() *cli.Command {
	return &cli.Command{
		Name:      "man",
		Usage:     "print manual pages, or write them to files",
		ArgsUsage: "[COMMAND…]",
		Description: `Prints the page of a command, of ocifs itself, or that of mount.ocifs, in the
form that man(1) reads. With --dir, all are written below it, to man1 and man8.`,
		UsageText: `
$ ocifs man mount | man -l -
$ ocifs man --dir ~/.local/share/man`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "write all pages to man1 and man8 in `DIR`"},
		},
		Action: talk(man),
	}
}

func man(_ context.Context, u *ui, cc *cli.Context) error {
	pages := manPages(newApp())
	if dir := cc.String("dir"); dir != "" {
		if cc.NArg() > 0 {
			return usagef("man: --dir writes all pages, and takes no command")
		}
		for _, p := range pages {
			if err := p.write(dir); err != nil {
				return err
			}
		}
		return nil
	}
	name := "ocifs"
	if cc.NArg() > 0 {
		name = strings.Join(cc.Args().Slice(), "-")
	}
	for _, p := range pages {
		if name == p.name || "ocifs-"+name == p.name {
			_, err := u.out.Write(p.roff())
			return err
		}
	}
	return notFoundf("man: there is no page about %s", quote(name)).with("ocifs --help lists the commands")
}

// A manPage is a manual page.
type manPage struct {
	name    string // as it is called: ocifs-index-build
	section string
	about   string
	body    roff
	also    []string // as in mount(8)
}

// write writes the page below dir.
func (p *manPage) write(dir string) error {
	dir = filepath.Join(dir, "man"+p.section)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, p.name+"."+p.section)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may be a link
		return err
	}
	return os.WriteFile(name, p.roff(), 0o644)
}

// roff is the whole page.
func (p *manPage) roff() []byte {
	var r roff
	r.line(".TH", strings.ToUpper(p.name), p.section, buildDate(), "ocifs "+buildInfo().Version, "ocifs")
	r.section("NAME")
	r.text(p.name + ` - ` + p.about)
	r.b.Write(p.body.b.Bytes())
	r.section("SEE ALSO")
	r.text(strings.Join(p.also, ", "))
	return r.b.Bytes()
}

// buildDate is the day of the commit that this program was built from; "" if it
// doesn't know.
func buildDate() string {
	bi, _ := debug.ReadBuildInfo()
	if bi == nil {
		return ""
	}
	for _, s := range bi.Settings {
		if s.Key == "vcs.time" {
			day, _, _ := strings.Cut(s.Value, "T")
			return day
		}
	}
	return ""
}

// manPages are all pages: of ocifs, of each command, and of the helper.
func manPages(app *cli.App) []*manPage {
	pages := []*manPage{overviewPage(app)}
	var add func(path []*cli.Command)
	add = func(path []*cli.Command) {
		c := path[len(path)-1]
		pages = append(pages, commandPage(path))
		for _, s := range visible(c.Subcommands) {
			add(append(path[:len(path):len(path)], s))
		}
	}
	for _, c := range visible(app.Commands) {
		add([]*cli.Command{c})
	}
	return append(pages, helperPage())
}

func overviewPage(app *cli.App) *manPage {
	p := &manPage{name: "ocifs", section: "1", about: app.Usage, also: []string{"mount.ocifs(8)", "fusermount3(1)", "umount(8)"}}
	r := &p.body
	r.section("SYNOPSIS")
	r.synopsis("ocifs", "COMMAND [flags] [arguments]")
	r.section("COMMANDS")
	for _, c := range visible(app.Commands) {
		r.item(bold(strings.Join(c.Names(), ", ")), c.Usage+" ("+pageName([]*cli.Command{c})+"(1))")
	}
	r.section("IMAGES")
	r.verbatim(references)
	r.section("ENVIRONMENT")
	r.item(bold("OCIFS_FLAG"), "the value of a flag, as OCIFS_CACHE_DIR that of --cache-dir. "+precedence)
	for _, e := range environment {
		r.item(bold(e.name), e.what)
	}
	r.section("FILES")
	for _, e := range files {
		r.item(italic(e.name), e.what)
	}
	r.exits(exitTable)
	return p
}

// precedence is what wins.
const precedence = "What the line says wins against the environment, that against options of -o, and these against what is built in."

// A said is a name, and what there is to say of it.
type said struct{ name, what string }

var environment = []said{
	{"NO_COLOR", "if not empty, no colour is used unless --color=always"},
	{"NOTIFY_SOCKET", "ocifs mount stays in the foreground, and tells the service manager that listens there how the mount is; see sd_notify(3)"},
	{"REGISTRY_AUTH_FILE, DOCKER_CONFIG", "where credentials are, as for Podman and Docker"},
	{"CONTAINERS_REGISTRIES_CONF", "the registries.conf to read, as for Podman"},
	{"HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "the proxy to go through, and hosts to reach without"},
	{"SSL_CERT_FILE, SSL_CERT_DIR", "certificates to trust, in place of the system's"},
	{"XDG_CACHE_HOME, XDG_CONFIG_HOME, XDG_RUNTIME_DIR, TMPDIR", "where a user's files go"},
}

var files = []said{
	{"/var/cache/ocifs, ~/.cache/ocifs", "the cache, of root and of users; --cache-dir chooses another"},
	{"/run/ocifs, $XDG_RUNTIME_DIR/ocifs", "a record of each live mount; --state-dir chooses another"},
	{"/etc/ocifs/*.env", "what the units ocifs@.service mount"},
	{"registries.conf, hosts.toml, certs.d, auth.json, config.json", "configuration of other programs that ocifs reads, too; ocifs-doctor(1) tells which file governs an image"},
}

func commandPage(path []*cli.Command) *manPage {
	c := path[len(path)-1]
	p := &manPage{name: pageName(path), section: "1", about: c.Usage, also: []string{"ocifs(1)"}}
	if len(path) > 1 {
		p.also = append(p.also, pageName(path[:1])+"(1)")
	}
	if p.name == "ocifs-mount" {
		p.also = append(p.also, "ocifs-umount(1)", "mount.ocifs(8)")
	}
	r := &p.body
	r.section("SYNOPSIS")
	r.synopsis(commandName(path), "[flags] "+c.ArgsUsage)
	for _, a := range c.Aliases {
		r.line(".br")
		r.synopsis("ocifs "+a, "…")
	}
	if c.Description != "" {
		r.section("DESCRIPTION")
		r.prose(c.Description)
	}
	if len(c.Subcommands) > 0 {
		r.section("COMMANDS")
		for _, s := range visible(c.Subcommands) {
			r.item(bold(s.Name), s.Usage+" ("+pageName([]*cli.Command{c, s})+"(1))")
		}
	}
	if len(c.Flags) > 0 {
		r.section("OPTIONS")
		r.flags(c.Flags, "", "")
		if takesImage(c) {
			r.flags(c.Flags, categoryImage, "For images")
			r.flags(c.Flags, categoryRegistry, "For registries")
		}
		r.flags(c.Flags, categoryGlobal, "Of every command")
	}
	if c.UsageText != "" {
		r.section("EXAMPLES")
		r.verbatim(indent(c.UsageText))
	}
	r.exits(exitTable)
	return p
}

// pageName is how the page of a command is called.
func pageName(path []*cli.Command) string {
	return strings.ReplaceAll(commandName(path), " ", "-")
}

// takesImage reports whether a command opens an image.
func takesImage(c *cli.Command) bool {
	return strings.HasPrefix(strings.TrimPrefix(c.ArgsUsage, "["), "IMAGE")
}

func helperPage() *manPage {
	p := &manPage{name: "mount.ocifs", section: "8", about: "mount an image, for mount(8)", also: []string{
		"ocifs-mount(1)", "ocifs(1)", "mount(8)", "fstab(5)", "systemd.automount(5)",
	}}
	r := &p.body
	r.section("SYNOPSIS")
	r.synopsis("mount -t ocifs", "IMAGE MOUNTPOINT [-o OPTIONS]")
	r.line(".br")
	name, rest, _ := strings.Cut(helperSynopsis, " ")
	r.synopsis(name, rest)
	r.section("DESCRIPTION")
	r.prose(`mount(8) runs this program for file systems of type ocifs, fuse.ocifs and
fuse3.ocifs, and so for lines of fstab(5) and systemd's mount units. It does what
"ocifs mount" does, and returns when the mount is live.

IMAGE should be a name in full, as docker.io/library/alpine, or begin with docker://:
of a name that a file in its working directory has, mount(8) makes a path.`)
	r.section("OPTIONS")
	for _, f := range []said{
		{"-f", "look at all that is said, but mount nothing"},
		{"-s", "pass over options of -o that are unknown"},
		{"-v", "tell what was mounted"},
		{"-n", "without effect, as are -r, -w and -t"},
	} {
		r.item(bold(f.name), f.what)
	}
	r.section("MOUNT OPTIONS")
	r.prose(`All that ocifs-mount(1) lists, among them suid, dev, exec, their opposites and
allow_other, and those for fstab(5). Besides:`)
	r.item(bold("env.")+italic("NAME")+bold("=")+italic("VALUE"), "set a variable of the environment, which mount(8) and systemd leave nearly empty, as in env.HTTPS_PROXY=http://proxy:3128")
	c := leaf(withKey(withView(mountCommand())), 2, 2)
	for _, f := range c.Flags {
		name := f.Names()[0]
		d, ok := f.(cli.DocGenerationFlag)
		if name == "option" || isForeground(name) || !ok {
			continue
		}
		value, usage := unquoted(d)
		head := bold(name)
		if value != "" {
			head += bold("=") + italic(value)
		}
		r.item(head, usage+defaultOf(f))
	}
	r.section("EXAMPLES")
	r.verbatim(indent(`
$ mount -t ocifs docker.io/library/python:3.13 /mnt/py -o platform=linux/arm64

In /etc/fstab, to be mounted at the first access:

docker.io/library/python:3.13 /mnt/py ocifs noauto,nofail,_netdev,x-systemd.automount 0 0`))
	r.exits(`    0  it worked
    1  wrong usage
    8  interrupted
   32  it could not be mounted
`)
	return p
}
