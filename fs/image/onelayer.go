package image

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// only leaves the layer that key means, by itself.
func (s *Selection) only(key string) error {
	n, err := s.find(key)
	if err != nil {
		return err
	}
	l := s.layers[n]
	kept := part{layers: []int{0}, lone: true}
	for _, p := range s.parts {
		if p.name != "" && len(p.layers) == 1 && p.layers[0] == n { // a file, be it of an artifact
			kept = p
			kept.at, kept.layers = "", []int{0}
		}
	}
	s.layers, s.parts, s.texts = []selected{l}, []part{kept}, nil
	return nil
}

// find is the number of the layer that key means.
func (s *Selection) find(key string) (int, error) {
	if n, err := strconv.Atoi(key); err == nil && n >= 1 && n <= len(s.layers) {
		return n - 1, nil
	}
	found := []int{}
	for i, l := range s.layers {
		if meant(l.desc.Digest, key) || l.diffID != "" && meant(l.diffID, key) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return 0, fmt.Errorf("%w: %q means %d layers", ErrNoLayer, key, len(found))
	}
	return 0, fmt.Errorf("%w: %q (there are 1 to %d)", ErrNoLayer, key, len(s.layers))
}

// ErrNoLayer says that there is no such layer.
var ErrNoLayer = errors.New("no such layer")

// meant says whether key is d, or the beginning of its digits.
func meant(d digest.Digest, key string) bool {
	key = strings.TrimPrefix(key, d.Algorithm().String()+":")
	return len(key) >= 6 && strings.HasPrefix(d.Encoded(), key)
}
