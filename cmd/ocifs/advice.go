package main

import (
	"context"
	"crypto/x509"
	"errors"
	iofs "io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

// codeOf is the exit code of an error that carries none: the one place where
// the sentinels of the packages below become exit codes. The order matters:
// what is broken comes before what is missing.
func codeOf(err error) int {
	var (
		platform *image.NoPlatformError
		fetched  *fetch.DigestError
		indexed  *index.DigestError
		chunk    *index.ChunkError
		lie      *index.MismatchError
		wrong    *image.WrongIndexError
	)
	switch {
	case errors.Is(err, image.ErrUnsigned):
		return exitIntegrity
	case errors.As(err, &fetched), errors.As(err, &indexed), errors.As(err, &chunk), errors.As(err, &lie), errors.As(err, &wrong):
		return exitIntegrity
	case isMountError(err):
		return exitMount
	case errors.Is(err, fetch.ErrUnauthorized):
		return exitAuth
	case errors.Is(err, fetch.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable
	case errors.Is(err, fetch.ErrNotFound), errors.As(err, &platform):
		return exitNotFound
	case errors.Is(err, fetch.ErrUnsupported), errors.Is(err, image.ErrUnsupported), errors.Is(err, index.ErrUnsupported),
		errors.Is(err, index.ErrLimit):
		return exitUnsupported
	}
	return exitFailure
}

func isMountError(err error) bool {
	for _, e := range []error{fs.ErrNoFUSE, fs.ErrNotDir, fs.ErrMounted, fs.ErrDead, fs.ErrBusy} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// advice is what to try about an error for which nobody nearer to it had a
// hint.
func advice(err error) []string {
	var (
		platform *image.NoPlatformError
		ca       x509.UnknownAuthorityError
		withheld *fetch.WithheldError
	)
	switch {
	case errors.As(err, new(outputError)): // full or gone, it is the user's
	case errors.As(err, &platform):
		return platformAdvice(platform.Have)
	case errors.Is(err, image.ErrUnsigned):
		return []string{"nothing of it was used; ocifs referrers IMAGE shows what lies beside it, cosign sign --key KEY signs it"}
	case isMountError(err):
		return mountAdvice(err)
	case errors.As(err, &ca):
		return []string{"trust the registry's certificate with --ca-file FILE, or for good as /etc/containers/certs.d/HOST/ca.crt; or do without checking it: --tls-verify=false"}
	case errors.As(err, &withheld):
		return []string{"if that is the registry's own token server: --token-host " + quote(withheld.TokenHost)}
	case errors.Is(err, fetch.ErrBlocked), errors.Is(err, fetch.ErrShortName):
		return []string{"ocifs doctor IMAGE tells what the configuration makes of a name; --registries-conf takes another one"}
	case errors.Is(err, fetch.ErrUnauthorized):
		return []string{"log in with docker login or podman login, or give --creds USER:PASSWORD"}
	case errors.Is(err, http.ErrSchemeMismatch):
		return []string{"the registry speaks http only: --plain-http"}
	case errors.Is(err, fetch.ErrHandshake):
		return []string{"if the registry speaks http only: --plain-http"}
	case ofProxy(err):
		return []string{"that is the proxy: check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"}
	case noConnection(err):
		return []string{"check the registry's name and port, and the network"}
	case errors.Is(err, fetch.ErrUnreachable):
		return []string{"the registry is there, but in trouble: try again later, or longer with --retry"}
	case errors.Is(err, fetch.ErrNotFound) && ofRegistry(err):
		return []string{"check the name and the tag; many registries say so of what one must log in to see"}
	case errors.As(err, new(*image.WrongIndexError)):
		return []string{"what was read by it may be wrong; it is not used again, so do it once more"}
	case codeOf(err) == exitIntegrity:
		return []string{"somebody changed it, or it was damaged on its way; nothing of it was used"}
	case codeOf(err) == exitUnsupported:
		return unsupportedAdvice(err)
	case noDirectory(err):
		return []string{"the working directory was removed: cd to another one"}
	case ofStdout(err):
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return []string{"make room there, or choose other directories: --cache-dir, --state-dir, TMPDIR"}
	case errors.Is(err, iofs.ErrPermission):
		return []string{"check who may do that, or run ocifs as that user"}
	}
	return nil
}

// platformAdvice names the platforms that there are as one can type them.
func platformAdvice(have []string) []string {
	var names []string
	for _, p := range have {
		if _, err := image.ParsePlatform(p); err != nil {
			continue // written by somebody who meant something else
		}
		if strings.ContainsAny(p, "()") {
			p = "'" + p + "'"
		}
		names = append(names, p)
	}
	if names == nil {
		return nil
	}
	return []string{"choose one with --platform " + strings.Join(names, ", ")}
}

// unsupportedAdvice is what makes something readable, or shows more of it.
func unsupportedAdvice(err error) []string {
	var window *index.WindowError
	switch {
	case errors.Is(err, image.ErrSchema1):
		return []string{"copy it into a newer form, as skopeo copy --format=oci does"}
	case errors.Is(err, image.ErrEncrypted):
		return []string{"decrypt it first, as skopeo copy --decryption-key=KEY does"}
	case errors.As(err, &window):
		return []string{"compress it anew with a smaller window, as zstd --long=27 does, or skopeo copy --dest-compress-format=zstd"}
	case errors.Is(err, image.ErrForeign):
		return nil // the error says where it is kept
	case errors.Is(err, image.ErrUnsupported):
		return []string{"ocifs inspect shows what it is"}
	case errors.Is(err, index.ErrCompression):
		return []string{"tar, gzip and zstd can be read: compress it anew, as skopeo copy --dest-compress-format=zstd does"}
	}
	return nil
}

// ofStdout says whether it was standard output that could not be written.
func ofStdout(err error) bool {
	var path *iofs.PathError
	return errors.As(err, &path) && path.Path == os.Stdout.Name()
}

// noDirectory says whether the working directory is gone.
func noDirectory(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && call.Syscall == "getwd"
}

// ofProxy says whether it is the proxy that can't be reached.
func ofProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "proxyconnect"
}

// noConnection says whether there was nobody to talk to.
func noConnection(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}

// ofRegistry says whether the error is about an image in a registry, and not
// in a layout or an archive.
func ofRegistry(err error) bool {
	var e *fetch.Error
	return errors.As(err, &e) && !isLocal(e.Name)
}

// isLocal says whether a reference in full is of an image on this machine.
func isLocal(name string) bool {
	for _, local := range []string{"/", "oci:", "oci-archive:", "docker-archive:"} {
		if strings.HasPrefix(name, local) {
			return true
		}
	}
	return false
}

func mountAdvice(err error) []string {
	switch {
	case errors.Is(err, fs.ErrNoFUSE) && errors.Is(err, iofs.ErrNotExist):
		return []string{
			"load FUSE (modprobe fuse), install fusermount3 (package fuse3), or give a container --device /dev/fuse",
			lookInside,
		}
	case errors.Is(err, fs.ErrNoFUSE):
		return []string{
			"to mount one must be root (in a container: --cap-add SYS_ADMIN), or have fusermount3 (package fuse3)",
			lookInside,
		}
	case errors.Is(err, fs.ErrDead):
		return []string{"remove it: ocifs umount MOUNTPOINT"}
	case errors.Is(err, fs.ErrBusy):
		return []string{"see who uses it: fuser -vm MOUNTPOINT"}
	case errors.Is(err, fs.ErrMounted):
		return []string{"unmount it, or mount elsewhere"}
	}
	return nil
}
