package fetch_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	"ocifs.dev/ocifs/tests/registrytest"
)

// TestMain fails the run if a goroutine of this package is left over.
func TestMain(m *testing.M) {
	status := m.Run()
	if left := leftover(); left != "" && status == 0 {
		fmt.Fprintln(os.Stderr, "goroutines left over:\n"+left)
		status = 1
	}
	os.Exit(status)
}

func leftover() (left string) {
	for range 100 {
		buf := make([]byte, 1<<20)
		left = ""
		for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "ocifs/fetch.(") || strings.Contains(stack, "registrytest.") {
				left += stack + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

// impatient is for tests in which tries fail.
var impatient = fetch.Retry{Attempts: 3, MinWait: time.Millisecond, MaxWait: time.Minute, Stall: 10 * time.Second}

// open opens a reference until the test ends.
func open(t testing.TB, ref string, o fetch.Options) *fetch.Source {
	t.Helper()
	if o.Retry == (fetch.Retry{}) {
		o.Retry = impatient
	}
	s, err := fetch.Open(context.Background(), ref, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openBlob(t testing.TB, s *fetch.Source, d ocispec.Descriptor) *fetch.Blob {
	t.Helper()
	b, err := s.Blob(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// manifest resolves a source and returns its manifest.
func manifest(t testing.TB, s *fetch.Source) (m ocispec.Manifest) {
	t.Helper()
	d, err := s.Resolve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.Document(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// noise returns n bytes that do not repeat, the same ones each time.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// expect compares the log's counts with what they should be.
func expect(t testing.TB, reg *registrytest.Server, want map[registrytest.Kind]int) {
	t.Helper()
	got := make(map[registrytest.Kind]int)
	for _, r := range reg.Requests() {
		got[r.Kind]++
	}
	if fmt.Sprint(got) == fmt.Sprint(want) {
		return
	}
	t.Errorf("requests: %v, want %v", got, want)
	for _, r := range reg.Requests() {
		t.Log(r.Kind, r.Method, r.Path, r.Range, r.Status, r.Bytes)
	}
}

// startTLS serves a registry by https until the test ends, and returns a file
// with its certificate.
func startTLS(t *testing.T, o registrytest.Options) (*registrytest.Server, string) {
	t.Helper()
	reg := registrytest.ServeTLS(registrytest.New(o))
	t.Cleanup(reg.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	body := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: reg.Certificate.Raw})
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return reg, file
}
