package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

// TestExitCodes maps what the packages below return, wrapped as they wrap it.
func TestExitCodes(t *testing.T) {
	at := func(err error) error {
		return &fetch.Error{Name: "r.example/x:1", Err: fmt.Errorf("sha256:…: %w", err)}
	}
	for _, c := range []struct {
		err  error
		code int
		hint string // what the first hint holds; "": there is none
	}{
		{nil, exitOK, ""},
		{errors.New("x"), exitFailure, ""},
		{usagef("x"), exitUsage, ""},
		{fmt.Errorf("more: %w", usagef("x").with("h")), exitUsage, "h"},
		{at(fetch.ErrNotFound), exitNotFound, "check the name and the tag"},
		{&fetch.Error{Name: "oci:/d:t", Err: fetch.ErrNotFound}, exitNotFound, ""},
		{at(fetch.ErrUnauthorized), exitAuth, "docker login"},
		{at(fetch.ErrUnreachable), exitUnreachable, "try again later"},
		{at(fmt.Errorf("%w: %w", fetch.ErrUnreachable, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})), exitUnreachable, "name and port"},
		{at(fmt.Errorf("%w: %w", fetch.ErrUnreachable, &url.Error{Op: "Get", Err: io.EOF})), exitUnreachable, "try again later"},
		{at(fmt.Errorf("%w: %w", fetch.ErrUnreachable, &net.DNSError{Err: "no such host"})), exitUnreachable, "name and port"},
		{at(fmt.Errorf("%w: %w", fetch.ErrUnreachable, http.ErrSchemeMismatch)), exitUnreachable, "--plain-http"},
		{at(fmt.Errorf("%w: %w", fetch.ErrUnreachable, fetch.ErrHandshake)), exitUnreachable, "--plain-http"},
		{at(fmt.Errorf("%w: %w", fetch.ErrUnreachable, &net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}})), exitUnreachable, "HTTPS_PROXY"},
		{fmt.Errorf("x: %w", &os.SyscallError{Syscall: "getwd", Err: syscall.ENOENT}), exitFailure, "cd to another"},
		{at(&fetch.WithheldError{Registry: "h.io", TokenHost: "t.net"}), exitAuth, "--token-host t.net"},
		{at(fmt.Errorf("%w: %w", fetch.ErrUnreachable, x509.UnknownAuthorityError{})), exitUnreachable, "--ca-file"},
		{at(&fetch.DigestError{}), exitIntegrity, "nothing of it was used"},
		{fmt.Errorf("layer 1: %w", &index.DigestError{}), exitIntegrity, "nothing of it was used"},
		{&index.ChunkError{}, exitIntegrity, "nothing of it was used"},
		{at(fetch.ErrUnsupported), exitUnsupported, ""},
		{fmt.Errorf("x: %w", image.ErrSchema1), exitUnsupported, "--format=oci"},
		{fmt.Errorf("x: %w", image.ErrEncrypted), exitUnsupported, "--decryption-key"},
		{fmt.Errorf("x: %w", image.ErrForeign), exitUnsupported, ""},
		{fmt.Errorf("x: %w", index.ErrLimit), exitUnsupported, ""},
		{&image.NoPlatformError{Want: "linux/amd64", Have: []string{"linux(+sse4)/amd64", "a b/c"}}, exitNotFound, "--platform 'linux(+sse4)/amd64'"},
		{fmt.Errorf("x: %w", image.ErrUnsupported), exitUnsupported, "ocifs inspect"},
		{fmt.Errorf("x: %w", index.ErrCompression), exitUnsupported, "compress it anew"},
		{fmt.Errorf("%w: a tar entry of type 'Z'", index.ErrUnsupported), exitUnsupported, ""},
		{fmt.Errorf("x: %w", &image.NoPlatformError{Want: "a/b", Have: []string{"c/d", "e/f"}}), exitNotFound, "--platform c/d, e/f"},
		{&image.NoPlatformError{Want: "a/b"}, exitNotFound, ""},
		{fmt.Errorf("x: %w: %w", fs.ErrNoFUSE, iofs.ErrNotExist), exitMount, "modprobe fuse"},
		{fmt.Errorf("x: %w", fs.ErrNoFUSE), exitMount, "one must be root"},
		{fmt.Errorf("x: %w", fs.ErrBusy), exitMount, "fuser"},
		{fmt.Errorf("x: %w", fs.ErrDead), exitMount, "ocifs umount"},
		{fmt.Errorf("x: %w", fs.ErrMounted), exitMount, "unmount it"},
		{fmt.Errorf("x: %w", fs.ErrNotDir), exitMount, ""},
		{mountFailed(errors.New("x")), exitMount, ""},
		{mountFailed(fs.ErrBusy), exitMount, "fuser"},
		{fmt.Errorf("x: %w", syscall.ENOSPC), exitFailure, "make room"},
		{outputError{syscall.ENOSPC}, exitFailure, ""},
		{fmt.Errorf("x: %w", iofs.ErrPermission), exitFailure, "who may do that"},
		{hint(at(fetch.ErrUnauthorized), "h"), exitAuth, "h"},
		{reported(exitNotFound), exitNotFound, ""},
		{fmt.Errorf("x: %w", &image.NoPlatformError{}), exitNotFound, ""},
		{context.DeadlineExceeded, exitUnreachable, ""},
	} {
		if got := exitCode(t.Context(), c.err); got != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.code)
		}
		var first string
		if hints := hintsOf(c.err); len(hints) > 0 {
			first = hints[0]
		}
		if !strings.Contains(first, c.hint) || (c.hint == "") != (first == "") {
			t.Errorf("%v: hint %q, want %q", c.err, first, c.hint)
		}
	}
}

// TestInterrupted gives an interrupted command the exit code of the signal,
// whatever it stumbled over; one that ended well, 0.
func TestInterrupted(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(interrupted{sig})
		if got := exitCode(ctx, context.Canceled); got != code {
			t.Errorf("%v: exit code %d, want %d", sig, got, code)
		}
		if got := exitCode(ctx, nil); got != exitOK {
			t.Errorf("%v after the end: exit code %d", sig, got)
		}
	}
}

// TestReport holds messages to their form.
func TestReport(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted{syscall.SIGINT})
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{t.Context(), nil, ""},
		{t.Context(), reported(3), ""},
		{t.Context(), errors.New("x"), "ocifs: error: x\n"},
		{t.Context(), usagef("x").with("a", "b"), "ocifs: error: x\nocifs: hint: a\nocifs: hint: b\n"},
		{t.Context(), hint(usagef("x").with("inner"), "outer"), "ocifs: error: x\nocifs: hint: outer\nocifs: hint: inner\n"},
		{t.Context(), errors.New("two\nlines \x1b[2J"), `ocifs: error: two\nlines \x1b[2J` + "\n"},
		{ctx, context.Canceled, "ocifs: interrupted\n"},
	} {
		var b bytes.Buffer
		report(c.ctx, &b, c.err)
		if b.String() != c.want {
			t.Errorf("%v: got %q, want %q", c.err, b.String(), c.want)
		}
	}
}
