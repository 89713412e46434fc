// Command demo shows ocifs at work on this machine: it makes an image of the
// machine's own files, serves it from a registry in this process, behind a
// link as slow as one wants, and lets the real binary mount it, as a user
// would. It needs no network and leaves nothing.
//
//	go run ./tests/demo bin/ocifs
//
// With -formats, it prints instead what a first look at one small file takes,
// in every format that has an index, of this image or another one.
//
//	go run ./tests/demo -formats -image oci:DIR:TAG -file usr/bin/env bin/ocifs
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

	"ocifs.dev/ocifs/tests/registrytest"
)

func main() {
	rtt := flag.Duration("rtt", 20*time.Millisecond, "a round trip to the registry takes `DURATION`")
	mbit := flag.Float64("mbit", 200, "the way to the registry carries `N` Mbit/s")
	formats := flag.Bool("formats", false, "print what a small file takes in each format")
	image := flag.String("image", "", "with -formats: of `REF`, not of this machine's files")
	file := flag.String("file", "", "with -formats and -image: the file at `PATH`")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: demo [flags] OCIFS")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 || *image != "" && !*formats || (*image == "") != (*file == "") {
		flag.Usage()
		os.Exit(2)
	}
	if err := canMount(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var what interface {
		run(context.Context) error
		clean()
	} = &demo{binary: flag.Arg(0), roundTrip: *rtt, bandwidth: *mbit * 1e6}
	if *formats {
		what = &comparison{binary: flag.Arg(0), image: *image, file: *file, link: registrytest.NewLink(*rtt, *mbit*1e6)}
	}
	err := what.run(ctx)
	what.clean()
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
