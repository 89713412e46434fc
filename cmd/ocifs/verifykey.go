package main

import (
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"ocifs.dev/ocifs/fs/image"
	"ocifs.dev/ocifs/fs/signature"
)

// withKey gives a command --verify-key. Only those have it that hold to it all
// that they show.
func withKey(c *cli.Command) *cli.Command {
	c.Flags = append(c.Flags, &cli.StringFlag{Name: "verify-key", Category: categoryImage, Usage: "refuse what no public key in `FILE` (PEM) has signed, as cosign does it"})
	return c
}

// readKey reads the keys of --verify-key, so that who opens the image, be it a
// daemon, has them as they are now.
func (s *imageSpec) readKey(cc *cli.Context) error {
	name := cc.String("verify-key")
	switch {
	case name == "" && !cc.IsSet("verify-key"):
		return nil
	case name == "": // what a variable in a script was to hold
		return usagef("--verify-key: no file is named")
	case cc.IsSet("index") && s.Index == image.PolicyRepository:
		return usagef("--verify-key and --index=repository: no signature covers what lies beside an image").with("--index=trusted takes what the image itself vouches for")
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("--verify-key: %w", err)
	}
	defer f.Close()
	if s.VerifyKey, err = io.ReadAll(io.LimitReader(f, signature.MaxKeys+1)); err != nil {
		return fmt.Errorf("--verify-key: %w", err)
	}
	if _, err := signature.ParseKeys(s.VerifyKey); err != nil {
		return usagef("--verify-key %s: %w", quote(name), err).with("cosign public-key --key KEY prints the one that goes with a private key")
	}
	if s.Index == image.PolicyRepository {
		s.Index = image.PolicyTrusted
	}
	return nil
}

// keys are those of --verify-key, nil if nobody need have signed the image.
// Where they can't be read any more, none is left that could have.
func (s imageSpec) keys() *signature.Keys {
	if len(s.VerifyKey) == 0 {
		return nil
	}
	k, err := signature.ParseKeys(s.VerifyKey)
	if err != nil {
		return new(signature.Keys)
	}
	return k
}
