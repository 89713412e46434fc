package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpoolLimit stops a file that unpacks to too much.
func TestSpoolLimit(t *testing.T) {
	for limit, ok := range map[int64]bool{99: false, 100: true, 101: true} {
		f, err := spool(context.Background(), strings.NewReader(strings.Repeat("x", 100)), t.TempDir(), limit)
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrUnsupported) {
			t.Errorf("100 bytes with a limit of %d: %v", limit, err)
		}
		if err == nil {
			body, err := io.ReadAll(io.NewSectionReader(f, 0, 1000))
			if err != nil || !bytes.Equal(body, bytes.Repeat([]byte("x"), 100)) {
				t.Errorf("%q, %v", body, err)
			}
			f.Close()
		}
	}
}

// TestUnpackError names the directory that is full, and keeps the reason.
func TestUnpackError(t *testing.T) {
	err := unpackError(&fs.PathError{Op: "write", Path: "/cache/ocifs-1", Err: unix.ENOSPC}, "/cache")
	if !errors.Is(err, unix.ENOSPC) || err.Error() != "in /cache: no space left on device" {
		t.Error(err)
	}
}
