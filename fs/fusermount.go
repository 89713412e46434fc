package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// mountHelped has fusermount3 mount, the program with the setuid bit that
// comes with libfuse. It sends the connection over a socket.
func mountHelped(p *mountpoint, o Options) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := pair[0], os.NewFile(uintptr(pair[1]), "fusermount3")
	defer unix.Close(ours)
	defer theirs.Close()
	options := fmt.Sprintf("ro,nosuid,nodev,fsname=%s,subtype=%s,%s", escapeOption(sourceName(o)), subtype, kernelOptions(o))
	if o.NoExec {
		options = "noexec," + options
	}
	if err := fusermount(theirs, "-o", options, "--", p.path); err != nil {
		return -1, err
	}
	return receive(ours)
}

// fusermount runs fusermount3. It inherits nothing of ours but comm, which may
// be nil: not the environment, not a descriptor.
func fusermount(comm *os.File, args ...string) error {
	bin, err := Fusermount()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"}
	cmd.Stderr = &stderr
	if comm != nil {
		cmd.ExtraFiles = []*os.File{comm}           // descriptor 3
		cmd.Env = append(cmd.Env, "_FUSE_COMMFD=3") // where it is to send to
	}
	err = cmd.Run()
	said := strings.TrimSpace(stderr.String())
	switch {
	case err == nil:
		return nil
	case strings.Contains(strings.ToLower(said), unix.EBUSY.Error()): // in the C locale
		return fmt.Errorf("%s: %w", said, unix.EBUSY)
	case said != "":
		return errors.New(said)
	}
	return fmt.Errorf("%s: %w", bin, err)
}

// Fusermount finds fusermount3, which users other than root need to mount: in
// PATH, and where it usually is if PATH is poor.
func Fusermount() (string, error) {
	bin, err := exec.LookPath("fusermount3")
	if err == nil {
		return bin, nil
	}
	for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/local/bin/"} {
		if bin, err := exec.LookPath(dir + "fusermount3"); err == nil {
			return bin, nil
		}
	}
	return "", err
}

// escapeOption makes s one value in a list of mount options.
func escapeOption(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s)
}

// receive takes the descriptor that was sent over the socket.
func receive(socket int) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4)) // one descriptor: an int32
	var b [1]byte
	var n int
	_, err := retry(func() (_ int, err error) {
		_, n, _, _, err = unix.Recvmsg(socket, b[:], oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		return 0, err
	})
	if err != nil {
		return -1, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err == nil && len(messages) != 1 {
		err = errors.New("no descriptor came with it")
	}
	if err != nil {
		return -1, fmt.Errorf("fusermount3: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("fusermount3: no descriptor came with it: %v", err)
	}
	return fds[0], nil
}
