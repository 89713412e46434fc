// Command demo shows ocifs at work on this machine: it makes an image of the
// machine's own files, serves it from a registry in this process, behind a
// link as slow as one wants, and lets the real binary mount it, as a user
// would. It needs no network and leaves nothing.
//
//	go run ./tests/demo bin/ocifs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	rtt := flag.Duration("rtt", 20*time.Millisecond, "a round trip to the registry takes `DURATION`")
	mbit := flag.Float64("mbit", 200, "the way to the registry carries `N` Mbit/s")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: demo [flags] OCIFS")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := canMount(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	d := &demo{binary: flag.Arg(0), roundTrip: *rtt, bandwidth: *mbit * 1e6}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := d.run(ctx)
	d.clean()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// canMount says what is missing for mounts.
func canMount() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("nothing can be mounted here: %w", err)
	}
	f.Close()
	if os.Getuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return errors.New("users other than root mount through fusermount3: install the package fuse3")
	}
	return nil
}
