package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// readCerts lists the certificates in a directory as Docker and Podman have
// them: authorities to be trusted in *.crt, certificates of ours in *.cert
// with the key beside each in *.key.
func readCerts(dir string) (ca []string, client [][2]string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil, nil // others', as Podman takes it
	}
	if err != nil {
		return nil, nil, err
	}
	names := make(map[string]bool)
	for _, e := range entries {
		names[e.Name()] = true
	}
	for _, e := range entries {
		name := e.Name()
		base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		switch {
		case ext == ".crt":
			ca = append(ca, filepath.Join(dir, name))
		case ext == ".cert" && !names[base+".key"]:
			return nil, nil, fmt.Errorf("%s: there is no %s.key beside it (authorities to be trusted end in .crt)", filepath.Join(dir, name), base)
		case ext == ".cert":
			client = append(client, [2]string{filepath.Join(dir, name), filepath.Join(dir, base+".key")})
		case ext == ".key" && !names[base+".cert"]:
			return nil, nil, fmt.Errorf("%s: there is no %s.cert beside it", filepath.Join(dir, name), base)
		}
	}
	return ca, client, nil
}

// findCerts is the first directory below dirs that is named as a host is in
// references; "" if there is none.
func findCerts(dirs []string, host string) string {
	for _, dir := range dirs {
		if fi, err := os.Stat(filepath.Join(dir, host)); err == nil && fi.IsDir() {
			return filepath.Join(dir, host)
		}
	}
	return ""
}

// trust adds the certificates in files to those that the system trusts, or to
// those that pool does.
func trust(pool *x509.CertPool, files []string) (*x509.CertPool, error) {
	for _, file := range files {
		pem, err := readFile(file, maxCerts)
		if err != nil {
			return nil, err
		}
		if pool == nil {
			if pool, err = x509.SystemCertPool(); err != nil {
				pool = x509.NewCertPool()
			}
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificates in PEM form", file)
		}
	}
	return pool, nil
}

// ourselves reads our certificates for a server that wants to know who we are.
func ourselves(client [][2]string) (list []tls.Certificate, err error) {
	for _, pair := range client {
		c, err := tls.LoadX509KeyPair(pair[0], pair[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pair[0], err)
		}
		list = append(list, c)
	}
	return list, nil
}
