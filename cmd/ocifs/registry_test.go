package main

import (
	"testing"

	"github.com/urfave/cli/v2"
)

// TestRegistryFlags says what the flags for registries mean that have more
// than two answers.
func TestRegistryFlags(t *testing.T) {
	for _, c := range []struct {
		flag     string
		scheme   string
		attempts int
	}{
		{"--tls-verify", "", 6},
		{"--plain-http", "http", 6},
		{"--plain-http=false", "https", 6},
		{"--retry=0", "", 1},
		{"--retry=2", "", 3},
	} {
		app := &cli.App{Flags: registryFlags(), Action: func(cc *cli.Context) error {
			s, err := registrySpecOf(cc)
			if err != nil || s.Scheme != c.scheme || s.Retry.Attempts != c.attempts {
				t.Errorf("%s: %q by at most %d tries, %v; want %q by %d", c.flag, s.Scheme, s.Retry.Attempts, err, c.scheme, c.attempts)
			}
			return nil
		}}
		if err := app.Run([]string{"ocifs", c.flag}); err != nil {
			t.Error(err)
		}
	}
}
