package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"ocifs.dev/ocifs/fetch"
)

// registryFlags say how to reach a registry.
func registryFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "authfile", Category: categoryRegistry, Usage: "read credentials from `FILE`, in the form of Docker's config.json or Podman's auth.json, before the usual ones"},
		&cli.StringFlag{Name: "creds", Category: categoryRegistry, Usage: "log in as `USER:PASSWORD`; without the password, ask for it"},
		&cli.StringFlag{Name: "registry-token", Category: categoryRegistry, Usage: "log in with the bearer `TOKEN`"},
		&cli.StringSliceFlag{Name: "token-host", Category: categoryRegistry, Usage: "give the credentials to the registry's token server at `HOST`, too, though that is of another domain"},
		&cli.BoolFlag{Name: "no-creds", Category: categoryRegistry, Usage: "do not log in"},
		&cli.BoolFlag{Name: "tls-verify", Value: true, Category: categoryRegistry, Usage: "check the registry's certificate"},
		&cli.BoolFlag{Name: "plain-http", Category: categoryRegistry, Usage: "speak http only; =false: https only, also on a loopback address, where both are tried otherwise"},
		&cli.StringFlag{Name: "ca-file", Category: categoryRegistry, Usage: "trust the certificates in `FILE`, too"},
		&cli.StringFlag{Name: "registries-conf", Category: categoryRegistry, Usage: "read mirrors, short names and the like from `FILE`, in the form of Podman's registries.conf, and from no other file"},
		&cli.StringFlag{Name: "hosts-dir", Category: categoryRegistry, Usage: "read mirrors and the like from hosts.toml files below `DIR`, as containerd keeps them, and from no other file"},
		&cli.StringFlag{Name: "range-align", Category: categoryRegistry, Usage: "ask for blobs in whole pieces of `SIZE`, as in 4MiB, which suits caches that share what they are asked for"},
		&cli.IntFlag{Name: "retry", Value: 5, Category: categoryRegistry, Usage: "repeat a request that gets nowhere up to `N` times"},
	}
}

// A registrySpec is how to reach a registry: fetch.Options in a form that can
// be sent to a daemon.
type registrySpec struct {
	Scheme     string // as in fetch.Options
	SkipVerify bool
	CAFile     string
	Auth       fetch.Auth
	Retry      fetch.Retry
	Config     fetch.Config
	RangeAlign int64
}

func registrySpecOf(cc *cli.Context) (s registrySpec, err error) {
	if cc.IsSet("plain-http") {
		s.Scheme = "https"
	}
	if cc.Bool("plain-http") {
		s.Scheme = "http"
	}
	s.SkipVerify = !cc.Bool("tls-verify")
	retries := cc.Int("retry")
	if retries < 0 {
		return s, usagef("--retry is a number, not %d", retries)
	}
	s.Retry.Attempts = retries + 1
	if f := cc.String("ca-file"); f != "" {
		if s.CAFile, err = filepath.Abs(f); err != nil {
			return s, err
		}
	}
	if s.RangeAlign, err = rangeAlign(cc); err != nil {
		return s, err
	}
	if s.Config, err = registryConfig(cc); err != nil {
		return s, err
	}
	s.Auth, err = authOf(cc)
	return s, err
}

// authOf is who we are to the registry.
func authOf(cc *cli.Context) (a fetch.Auth, err error) {
	creds, token := cc.String("creds"), cc.String("registry-token")
	if cc.Bool("no-creds") {
		if creds != "" || token != "" || cc.String("authfile") != "" {
			return a, usagef("--no-creds excludes --creds, --registry-token and --authfile")
		}
		return a, nil
	}
	a.RegistryToken, a.TokenHosts = token, cc.StringSlice("token-host")
	if creds != "" {
		var has bool
		a.Username, a.Password, has = strings.Cut(creds, ":")
		if a.Username == "" {
			return a, usagef("--creds is USER:PASSWORD")
		}
		if !has {
			if a.Password, err = askPassword(cc.Context, a.Username); err != nil {
				return a, err
			}
		}
	}
	if f := cc.String("authfile"); f != "" {
		if f, err = filepath.Abs(f); err != nil {
			return a, err
		}
		fi, err := os.Stat(f)
		if err != nil {
			return a, hint(fmt.Errorf("authfile: %w", err), "docker login and podman login make one")
		}
		if fi.Mode().IsRegular() { // a pipe is read but once
			if err := fetch.CheckAuthFile(f); err != nil { // else a credential from another file were taken
				return a, usagef("authfile: %w", err).with("docker login and podman login make one")
			}
		}
		a.Files = append(a.Files, f)
	}
	a.Files = append(a.Files, fetch.DefaultAuthFiles(os.Getenv, homeDir(), os.Getuid())...)
	return a, nil
}

// homeDir is $HOME, or what the user database says where mount(8) or systemd
// has left none; "" if that does not know either.
func homeDir() string {
	if dir, err := os.UserHomeDir(); err == nil {
		return dir
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// askPassword asks for a password on the terminal. An interrupt gives the
// terminal back as it was.
func askPassword(ctx context.Context, name string) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return "", usagef("--creds: no password, and no terminal to ask for it").with("give it as --creds USER:PASSWORD, or in OCIFS_CREDS")
	}
	before, err := term.GetState(in)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "password of %s: ", printable(name))
	defer fmt.Fprintln(os.Stderr)
	type answer struct {
		password []byte
		err      error
	}
	answered := make(chan answer, 1)
	go func() { // of an interrupted question, it ends with the process
		b, err := term.ReadPassword(in)
		answered <- answer{b, err}
	}()
	select {
	case a := <-answered:
		return string(a.password), a.err
	case <-ctx.Done():
		term.Restore(in, before)
		return "", context.Cause(ctx)
	}
}

// request logs a request that was sent, of which nothing is secret, and passes it
// on.
func (h hooks) request(r fetch.Request) {
	if h.log != nil {
		h.log.Debug("request", "method", r.Method, "url", r.URL, "status", r.Status, "bytes", r.Bytes,
			"took", r.Took.Round(time.Microsecond), "err", r.Err)
	}
	if h.sent != nil {
		h.sent(r)
	}
}

// options are the fetch.Options that s stands for.
func (s registrySpec) options(h hooks) fetch.Options {
	return fetch.Options{
		Config: s.Config, RangeAlign: s.RangeAlign,
		Debug:  func(text string) { h.log.Debug(text) },
		Sent:   h.request,
		Scheme: s.Scheme, SkipVerify: s.SkipVerify, CAFile: s.CAFile,
		Proxy: http.ProxyFromEnvironment, Auth: s.Auth, Retry: s.Retry, Warn: h.warn,
	}
}
