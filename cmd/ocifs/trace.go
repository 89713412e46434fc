package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/tree"
)

// A trace says what of an image's files was read first, in that order: a line of
// JSON for each, behind one that says of which image. What is read again from the
// kernel's memory is in no trace.
const (
	traceSchema = "ocifs.dev/trace/v1"

	// tracePart is how much of a file is one thing to have been read: the size of
	// most chunks.
	tracePart = 256 << 10

	// maxTrace bounds the lines of a trace, and so the memory that it takes.
	maxTrace = 1 << 20
)

// A traceHead is the first line of a trace.
type traceHead struct {
	Schema  string    `json:"schema"`
	Image   string    `json:"image"`
	Digest  string    `json:"digest"`
	Started time.Time `json:"started"`
}

// An access is another one: a read of something that had not been read before.
type access struct {
	Time int64  `json:"us"` // since the start, microseconds
	Path string `json:"path"`
	Off  int64  `json:"off"`
	Len  int64  `json:"len"`
}

// A recorder is an image that writes a trace of what is read of it. Safe for
// concurrent use.
type recorder struct {
	fs.Source
	log   *slog.Logger
	start time.Time

	mu   sync.Mutex // guards all below
	file io.WriteCloser
	seen map[tracedPart]bool
	done bool // no more is written
}

// A tracedPart is a part of a file.
type tracedPart struct {
	n    tree.Node
	part int64
}

// record has what is read of img written to the file of that name, which is
// made anew. Close it after the last read.
func recordTrace(img *openedImage, name string, log *slog.Logger) (*recorder, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--record-trace: %w", err)
	}
	r := &recorder{Source: img, log: log, start: time.Now(), file: f, seen: map[tracedPart]bool{}}
	r.write(traceHead{traceSchema, img.Name(), img.Manifest().Descriptor.Digest.String(), r.start.UTC()})
	if r.done {
		f.Close()
		return nil, fmt.Errorf("--record-trace: %s can't be written to", quote(name))
	}
	return r, nil
}

// ReadAt is the image's.
func (r *recorder) ReadAt(n tree.Node, p []byte, off int64) (int, error) {
	if len(p) > 0 && off >= 0 {
		r.note(n, off, int64(len(p)))
	}
	return r.Source.ReadAt(n, p, off)
}

func (r *recorder) note(n tree.Node, off, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := false
	for part := off / tracePart; part <= (off+size-1)/tracePart && !r.done; part++ {
		if k := (tracedPart{n, part}); !r.seen[k] {
			first, r.seen[k] = true, true
		}
	}
	if !first || r.done {
		return
	}
	r.write(access{time.Since(r.start).Microseconds(), "/" + strings.TrimPrefix(r.Tree().Path(n), "/"), off, size})
	if len(r.seen) >= maxTrace {
		r.done = true
		r.log.Warn("the trace is full: nothing more is written to it", "lines", maxTrace)
	}
}

// write writes a line. A trace that can't be written ends there: reads go on.
func (r *recorder) write(v any) {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = r.file.Write(append(b, '\n'))
	}
	if err != nil {
		r.done = true
		r.log.Warn("the trace ends here", "err", err)
	}
}

// Close ends the trace.
func (r *recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
	return r.file.Close()
}

// maxTraceLine bounds a line of a trace: a path of 4095 bytes, each of which may
// take six.
const maxTraceLine = 64 << 10

// readTrace reads a trace. Lines that tell of something else are passed over.
func readTrace(from io.Reader) (list []access, err error) {
	in := bufio.NewScanner(from)
	in.Buffer(nil, maxTraceLine)
	for n := 1; in.Scan(); n++ {
		if n > maxTrace {
			return nil, fmt.Errorf("more than %d lines", maxTrace)
		}
		var a access
		switch err := json.Unmarshal(in.Bytes(), &a); {
		case len(in.Bytes()) == 0:
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case a.Path != "" && (a.Off < 0 || a.Len < 0):
			return nil, fmt.Errorf("line %d: %w", n, errors.New("a read before the beginning"))
		case a.Path != "":
			list = append(list, a)
		}
	}
	return list, in.Err()
}
