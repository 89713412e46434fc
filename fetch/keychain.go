package fetch

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// DefaultAuthFiles lists the files in which Podman and Docker keep
// credentials, in the order in which they are to be asked. getenv is
// os.Getenv or its like; home and uid are the user's.
func DefaultAuthFiles(getenv func(string) string, home string, uid int) []string {
	var files []string
	add := func(parts ...string) {
		if parts[0] != "" {
			files = append(files, filepath.Join(parts...))
		}
	}
	add(getenv("REGISTRY_AUTH_FILE"))
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		add(dir, "containers/auth.json")
	} else {
		add(fmt.Sprintf("/run/containers/%d/auth.json", uid))
	}
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers/auth.json")
	} else {
		add(home, ".config/containers/auth.json")
	}
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker/config.json")
	}
	return files
}

// A keychain finds the credential for one repository.
type keychain struct {
	auth    Auth
	ref     Reference
	helpers []string // Podman's credential-helpers; none: files are asked, and helpers that they name
	warn    func(string)

	warned sync.Map // messages given already
}

// find looks a credential up, afresh. None is not an error: it is nobody's.
func (k *keychain) find(ctx context.Context) (auth.Credential, error) {
	c, _ := k.look(ctx)
	return c, nil
}

// look is find, and tells where the credential is from: "" if there is none.
func (k *keychain) look(ctx context.Context) (c auth.Credential, from string) {
	c = auth.Credential{
		Username:     k.auth.Username,
		Password:     k.auth.Password,
		RefreshToken: k.auth.IdentityToken,
		AccessToken:  k.auth.RegistryToken,
	}
	if c != auth.EmptyCredential {
		return c, "given outright"
	}
	if len(k.helpers) == 0 || len(k.auth.Files) == 0 {
		return k.inFiles(ctx)
	}
	for _, helper := range k.helpers {
		if helper == authFiles {
			c, from = k.inFiles(ctx)
		} else {
			c, from = k.help(ctx, helper, k.ref.domain), helperName(helper)
		}
		if c != auth.EmptyCredential {
			return c, from
		}
	}
	return c, ""
}

// authFiles is what stands in Podman's credential-helpers for its own files.
const authFiles = "containers-auth.json"

func helperName(helper string) string { return "docker-credential-" + helper }

func (k *keychain) inFiles(ctx context.Context) (c auth.Credential, from string) {
	for _, file := range k.auth.Files {
		if c, by := k.inFile(ctx, file); c != auth.EmptyCredential {
			return c, file + by
		}
	}
	return auth.EmptyCredential, ""
}

func (k *keychain) warnOnce(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if _, seen := k.warned.LoadOrStore(msg, true); !seen {
		k.warn(msg)
	}
}

// maxAuthFile bounds a file of credentials: one has a few hundred bytes.
const maxAuthFile = 4 << 20

// authFile is what Docker's config.json and Podman's auth.json have in common.
type authFile struct {
	Auths map[string]struct {
		Auth          string
		Username      string
		Password      string
		IdentityToken string
		RegistryToken string
	}
	CredHelpers map[string]string
	CredsStore  string
}

// readAuthFile reads a file of credentials; an empty one has none.
func readAuthFile(file string) (f authFile, err error) {
	body, err := readFile(file, maxAuthFile)
	if err == nil && len(body) > 0 {
		err = decode(file, body, &f)
	}
	return f, err
}

// CheckAuthFile says what is wrong with a file of credentials: that it can't be
// read, or is none. Without it, a file that is wrong is warned of, and passed over.
func CheckAuthFile(file string) error {
	_, err := readAuthFile(file)
	return err
}

// inFile asks one file: the entries for the repository, for what it is part
// of and for the host; then the helper for the host; then the general helper,
// unless the host's is "", which says that there is none. by is which of them
// has answered.
func (k *keychain) inFile(ctx context.Context, file string) (c auth.Credential, by string) {
	f, err := readAuthFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return auth.EmptyCredential, ""
	}
	if err != nil {
		k.warnOnce("credentials: %v", err)
		return auth.EmptyCredential, ""
	}
	for _, want := range k.namespaces() {
		for _, key := range spellings(f.Auths, want) {
			a := f.Auths[key]
			c := auth.Credential{Username: a.Username, Password: a.Password, RefreshToken: a.IdentityToken, AccessToken: a.RegistryToken}
			if a.Auth != "" {
				user, password, err := decodeAuth(a.Auth)
				if err != nil {
					k.warnOnce("credentials: %s: %s: %v", file, key, err)
					continue
				}
				c.Username, c.Password = user, password
			}
			if c = tokenUser(c); c != auth.EmptyCredential {
				return c, ", " + clip(key)
			}
		}
	}
	for _, host := range k.hosts() {
		for _, key := range spellings(f.CredHelpers, host) {
			helper := f.CredHelpers[key]
			if helper == "" {
				return auth.EmptyCredential, ""
			}
			if c := k.help(ctx, helper, key); c != auth.EmptyCredential {
				return c, ", " + helperName(helper)
			}
		}
	}
	server := k.ref.domain
	if server == "docker.io" {
		server = dockerHub
	}
	if f.CredsStore == "" {
		return auth.EmptyCredential, ""
	}
	return k.help(ctx, f.CredsStore, server), ", " + helperName(f.CredsStore)
}

// spellings lists the keys of m that mean want, the same one first.
func spellings[V any](m map[string]V, want string) []string {
	var keys []string
	for key := range m {
		if key != want && normalizeKey(key) == want {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if _, ok := m[want]; ok {
		keys = slices.Insert(keys, 0, want)
	}
	return keys
}

// tokenUser recognises an identity token that is kept as a password.
func tokenUser(c auth.Credential) auth.Credential {
	if c.Username == "<token>" {
		return auth.Credential{RefreshToken: c.Password}
	}
	return c
}

// namespaces lists the keys that fit, the most special first: host/a/b,
// host/a, host and the host's other names.
func (k *keychain) namespaces() []string {
	var keys []string
	for path := k.ref.domain + "/" + k.ref.repo; ; {
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			break
		}
		keys = append(keys, path)
		path = path[:i]
	}
	return append(keys, k.hosts()...)
}

// hosts lists the names under which the registry may be known.
func (k *keychain) hosts() []string {
	if k.ref.domain != "docker.io" {
		return []string{k.ref.domain}
	}
	return []string{"docker.io", "index.docker.io", "registry-1.docker.io", dockerHub}
}

// dockerHub is the name under which Docker keeps the credential for its Hub.
const dockerHub = "https://index.docker.io/v1/"

// normalizeKey reduces a key with a scheme, as old versions of Docker wrote
// them, to the host.
func normalizeKey(key string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(key, scheme); ok {
			host, _, _ := strings.Cut(rest, "/")
			return host
		}
	}
	return strings.TrimSuffix(key, "/")
}

func decodeAuth(s string) (user, password string, err error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimRight(s, "\x00"))
	if err != nil {
		return "", "", errors.New("the entry is not base64")
	}
	user, password, ok := strings.Cut(strings.Trim(string(b), "\x00"), ":")
	if !ok {
		return "", "", errors.New("the entry is not user:password")
	}
	return user, password, nil
}

// helperTimeout bounds how long a helper may take, which may have to ask its
// user.
const helperTimeout = 2 * time.Minute

// help asks a credential helper: for the server as it is called in the file,
// which is what Podman asks for, then by its other names. Its failure leaves us
// anonymous.
func (k *keychain) help(ctx context.Context, helper, server string) auth.Credential {
	if !validHelper(helper) {
		k.warnOnce("credential helper %q: not a name", clip(helper))
		return auth.EmptyCredential
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	store := credentials.NewNativeStore(helper)
	others := slices.DeleteFunc(k.hosts(), func(name string) bool { return name == server })
	for _, name := range slices.Insert(others, 0, server) {
		c, err := store.Get(ctx, name)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			k.warnOnce("credential helper docker-credential-%s is not installed: going on without", helper)
		case err != nil:
			k.warnOnce("credential helper docker-credential-%s: %v", helper, err)
		}
		if err != nil || c != auth.EmptyCredential {
			return c
		}
	}
	return auth.EmptyCredential
}

// validHelper accepts what can only be the end of a file's name.
func validHelper(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}
