package bundle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Write writes the configuration into the bundle at dir. One that is there
// already stays, and is an error (os.ErrExist).
func Write(dir string, s *specs.Spec) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", Config, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, Config), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// HostsFile is the content of an /etc/hosts for a container called hostname:
// the host's, if it shares the network, or that of a machine alone.
func HostsFile(host []byte, hostname string) []byte {
	var b strings.Builder
	b.Write(host)
	if len(host) == 0 {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	} else if host[len(host)-1] != '\n' {
		b.WriteByte('\n')
	}
	if hostname != "" {
		fmt.Fprintf(&b, "127.0.1.1\t%s\n", hostname)
	}
	return []byte(b.String())
}
