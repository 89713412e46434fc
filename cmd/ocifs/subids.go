package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	osuser "os/user"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
)

// giveIDs makes this user root of the user namespace of process pid, and gives
// it as other users the subordinate ids that the user has, from 1 on. Without
// newuidmap, or without such ids, it is alone there.
func giveIDs(u *ui, pid int) error {
	uids, uerr := subordinate("/etc/subuid")
	gids, gerr := subordinate("/etc/subgid")
	if err := errors.Join(uerr, gerr); err != nil {
		return err
	}
	newuidmap, err := lookProgram("newuidmap")
	if err == nil && len(uids) > 0 && len(gids) > 0 {
		newgidmap := strings.Replace(newuidmap, "newuidmap", "newgidmap", 1)
		if err := mapIDs(newuidmap, pid, os.Geteuid(), uids); err != nil {
			return err
		}
		return mapIDs(newgidmap, pid, os.Getegid(), gids)
	}
	if err == nil {
		u.note("no other users than root are in the container: %s has no subordinate ids in /etc/subuid and /etc/subgid", userName())
	} else {
		u.note("no other users than root are in the container: newuidmap (package uidmap) is not installed")
	}
	return mapAlone(pid)
}

// subordinate lists the ranges of ids that a file gives this user, by name or
// number.
func subordinate(file string) ([]user.SubID, error) {
	name, uid := userName(), strconv.Itoa(os.Geteuid())
	ids, err := user.ParseSubIDFileFilter(file, func(s user.SubID) bool {
		return (s.Name == name || s.Name == uid) && s.Count > 0
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return ids, nil
}

// userName is this user's name, or number if it has none.
func userName() string {
	if u, err := osuser.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

// mapIDs runs newuidmap or newgidmap, which may write what a user may not.
func mapIDs(program string, pid, own int, ranges []user.SubID) error {
	words := []string{strconv.Itoa(pid), "0", strconv.Itoa(own), "1"}
	next := int64(1)
	for _, r := range ranges {
		words = append(words, fmt.Sprint(next), fmt.Sprint(r.SubID), fmt.Sprint(r.Count))
		next += r.Count
	}
	cmd := exec.Command(program, words...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return hint(fmt.Errorf("user namespace: %s: %w", strings.TrimSpace(stderr.String()), err),
			"newuidmap and newgidmap must be setuid root, and /etc/subuid and /etc/subgid right")
	}
	return nil
}

// mapAlone maps root to this user and group, which the kernel lets anybody do
// who gives up setgroups(2).
func mapAlone(pid int) error {
	for _, f := range []struct{ name, content string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("0 %d 1", os.Geteuid())},
		{"gid_map", fmt.Sprintf("0 %d 1", os.Getegid())},
	} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, f.name), []byte(f.content), 0); err != nil {
			return namespaceFailed(fmt.Errorf("user namespace: %w", err))
		}
	}
	return nil
}
