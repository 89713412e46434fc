package bundle

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"ocifs.dev/ocifs/fs/image"
)

// maxAccounts bounds /etc/passwd and /etc/group, in bytes: 100,000 lines of 80.
// What lies behind is not read.
const maxAccounts = 8 << 20

// findUser is the user that who names, as config.md has it: USER or USER:GROUP,
// each by name or number, "" being root. A user of the image's /etc/passwd
// brings its group and, unless one is named, its further groups; numbers need
// no entry. home is its home directory.
func findUser(img *image.Image, who string, r *Rootless) (u specs.User, home string, err error) {
	passwd, err := account(img, "/etc/passwd")
	if err != nil {
		return u, "", err
	}
	group, err := account(img, "/etc/group")
	if err != nil {
		return u, "", err
	}
	return lookUser(who, passwd, group, r)
}

// lookUser is findUser with the files of accounts.
func lookUser(who string, passwd, group io.Reader, r *Rootless) (u specs.User, home string, err error) {
	found, err := user.GetExecUser(who, &user.ExecUser{Home: "/"}, passwd, group)
	switch {
	case errors.Is(err, user.ErrNoPasswdEntries):
		name, _, _ := strings.Cut(who, ":")
		return u, "", fmt.Errorf("user %q: %w in the image's /etc/passwd", name, ErrNoUser)
	case errors.Is(err, user.ErrNoGroupEntries):
		_, name, _ := strings.Cut(who, ":")
		return u, "", fmt.Errorf("group %q: %w in the image's /etc/group", name, ErrNoUser)
	case err != nil:
		return u, "", fmt.Errorf("user %q: %w", who, err)
	}
	u.UID, u.GID = uint32(found.Uid), uint32(found.Gid)
	for _, g := range found.Sgids {
		if r == nil || int64(g) < r.IDs && r.IDs > 1 { // one id alone cannot have groups: setgroups(2) is denied
			u.AdditionalGids = append(u.AdditionalGids, uint32(g))
		}
	}
	if r != nil && (int64(u.UID) >= r.IDs || int64(u.GID) >= r.IDs) {
		return u, "", fmt.Errorf("user %d, group %d: %w, which has %d", u.UID, u.GID, ErrNotMapped, r.IDs)
	}
	if found.Home == "" || strings.ContainsRune(found.Home, 0) {
		found.Home = "/"
	}
	return u, found.Home, nil
}

// UserID is the number of the user that who is: a name in the image's own
// /etc/passwd, or a number. The error is ErrNoUser if there is no such name.
func UserID(img *image.Image, who string) (uint32, error) {
	if who == "" || strings.Contains(who, ":") { // no name can have one
		return 0, fmt.Errorf("user %q: %w", who, ErrNoUser)
	}
	u, _, err := findUser(img, who, nil)
	return u.UID, err
}

// GroupID is UserID for a group, in the image's own /etc/group.
func GroupID(img *image.Image, which string) (uint32, error) {
	if which == "" || strings.Contains(which, ":") {
		return 0, fmt.Errorf("group %q: %w", which, ErrNoUser)
	}
	u, _, err := findUser(img, "0:"+which, nil)
	return u.GID, err
}

// account reads a file of accounts. One that isn't there, or is no file, is
// empty.
func account(img *image.Image, name string) (io.Reader, error) {
	n, err := img.Tree().Walk(name, true)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return strings.NewReader(""), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a := img.Tree().Attr(n)
	if a.Mode&unix.S_IFMT != unix.S_IFREG {
		return strings.NewReader(""), nil
	}
	b := make([]byte, min(a.Size, maxAccounts))
	if got, err := img.ReadAt(n, b, 0); got < len(b) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return strings.NewReader(string(b)), nil
}
