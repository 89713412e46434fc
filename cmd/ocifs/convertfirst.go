package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// maxPathLine bounds a line of a list of paths: a path has 4095 bytes at most,
// but a trace tells more than that.
const maxPathLine = 1 << 20

// readPriorities reads the file that --prioritize names.
func readPriorities(name string) ([]string, error) {
	name, trace := strings.CutPrefix(name, "trace=")
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--prioritize: %w", err)
	}
	defer f.Close()
	parse := func(line []byte) (string, error) { return string(line), nil }
	if trace {
		parse = tracedPath
	}
	list, err := readPaths(f, parse)
	if err != nil {
		return nil, fmt.Errorf("--prioritize: %s: %w", quote(name), err)
	}
	return list, nil
}

// tracedPath is the path in a line of an access trace.
func tracedPath(line []byte) (string, error) {
	var access struct {
		Path *string `json:"path"`
	}
	if err := json.Unmarshal(line, &access); err != nil {
		return "", err
	}
	if access.Path == nil {
		return "", nil // it tells of something else
	}
	return *access.Path, nil
}

// readPaths reads a path from each line, as seen from the image's root; each
// is listed once, where it came first.
func readPaths(r io.Reader, parse func(line []byte) (string, error)) ([]string, error) {
	var list []string
	seen := map[string]bool{"": true} // the root is no file
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxPathLine)
	for n := 1; in.Scan(); n++ {
		if len(in.Bytes()) == 0 {
			continue
		}
		p, err := parse(in.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if p = strings.TrimPrefix(path.Clean("/"+p), "/"); !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list, in.Err()
}
