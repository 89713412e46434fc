package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/index"
)

// What --verify says.
const (
	verifyChunk = "chunk" // each chunk as it is read
	verifyFull  = "full"  // and all that others say of the layers, first
)

// verifyOf is --verify, where a command has it.
func verifyOf(cc *cli.Context) (string, error) {
	switch v := cc.String("verify"); v {
	case "", verifyChunk, verifyFull:
		return v, nil
	default:
		return "", usagef("--verify is %s or %s, not %q", verifyChunk, verifyFull, v)
	}
}

// findings is who hears what came of others' words on the layers, nil if
// nobody asks: an index that lies is an error, one that can't be used is not
// needed.
func (s imageSpec) findings(warn func(string)) func(image.Finding) error {
	if s.Verify != verifyFull {
		return nil
	}
	return func(f image.Finding) error {
		var lie *index.MismatchError
		var broken *index.DigestError
		switch {
		case errors.As(f.Err, &lie), errors.As(f.Err, &broken):
			return hint(fmt.Errorf("%s index: %w", f.Origin, f.Err), "mount without it: --index=local; ocifs index verify tells of all there are")
		case f.Err != nil && !errors.Is(f.Err, index.ErrNoIndex):
			warn(fmt.Sprintf("an index can't be used: %v", f.Err))
		}
		return nil
	}
}
