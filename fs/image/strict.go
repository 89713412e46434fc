package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"ocifs.dev/ocifs/fetch"
)

// maxDepth is how deep a document may nest: an index needs six.
const maxDepth = 32

// unmarshal parses a document that must mean the same to every reader: one
// JSON value, no object with two keys that package json takes for the same
// (it ignores case and lets the last one win; others do not).
func unmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := object(d, "", 0); err == io.EOF {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return fetch.Unmarshal(b, v)
}

// object reads one JSON value, which is the value of key.
func object(d *json.Decoder, key string, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	seen := map[string]bool{}
	for d.More() {
		name := key
		if delim == '{' {
			if name, err = field(d, key, seen); err != nil {
				return err
			}
		}
		if err := object(d, name, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// field reads a key of the object that is the value of parent.
func field(d *json.Decoder, parent string, seen map[string]bool) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	name, _ := t.(string) // between '{' and '}' a Decoder accepts nothing else
	same := name
	if !free[parent] {
		same = strings.ToLower(name)
	}
	if seen[same] {
		return "", fmt.Errorf("the key %q twice in one object", name)
	}
	seen[same] = true
	return name, nil
}

// free are the objects whose keys are data, in which case matters.
var free = map[string]bool{
	"annotations": true, "Labels": true, "Volumes": true, "ExposedPorts": true,
}
