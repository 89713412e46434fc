// Command peers compares ocifs with what else gets at the files of an image,
// on images as people have them, and writes the answers to docs/benchmarks.md.
//
// What is asked is a list of questions (questions.go), each a file of its own. A question has rows, which are ways to the same end, and columns, which
// are what is measured of each. A run of a question makes one trial of every
// row; runs follow one another, so that what else the machine does meets all
// rows alike, and a table has medians over the runs, and the medians of the
// ratios that each run had to one row of it.
//
// A trial takes place in a scene: a directory of its own, and a list of what
// must be undone, from mounts to processes, which happens whatever came of the
// trial. Images come from a registry in this process, through a link
// (registrytest.Link) with a round-trip time and a bandwidth.
//
// A peer that isn't installed has a row that says so. Everything made is below
// one directory, and is unmounted and removed at the end, also after Ctrl-C;
// what a killed run has left there, the next one removes first.
//
//	go run ./tests/peers -images /srv/images bin/ocifs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// settings are what the command line says.
type settings struct {
	binary    string   // ocifs
	stargz    string   // the program of tests/peers/stargz; "" if there is none
	questions []string // by name; none: all
	images    []string // layouts; none: the harness makes one
	links     []link   // where the question leaves it open
	runs      int
	work      string // all that is made lies here
	keep      bool   // leave what was prepared for the next time
	out       string // the directory for benchmarks.md and the pictures
	results   string // the directory for what was measured
}

func main() {
	s, err := readSettings(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = measure(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// readSettings parses flags and finds the programs and images they name.
func readSettings(args []string) (settings, error) {
	s := settings{}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: peers [flags] OCIFS\n\nquestions:")
		for _, q := range questions() {
			fmt.Fprintf(flags.Output(), "  %-9s %s\n", q.name, q.title)
		}
		fmt.Fprintln(flags.Output(), "\nflags:")
		flags.PrintDefaults()
	}
	only := flags.String("questions", "", "answer `NAMES` only, separated by commas")
	images := flags.String("images", "", "take the images in `LAYOUTS`, separated by commas, or all layouts of a directory; otherwise one is made of this machine's files")
	links := flags.String("links", "20ms/1Gbit", "have ways to the registry with `RTT/BANDWIDTH`, separated by commas; 0/0 is the loopback interface as it is")
	flags.IntVar(&s.runs, "runs", 3, "make `N` trials of each row")
	flags.StringVar(&s.stargz, "stargz", "", "the program made of tests/peers/stargz is `FILE`")
	flags.StringVar(&s.work, "work", filepath.Join(os.TempDir(), "ocifs-peers"), "make everything below `DIR`")
	flags.BoolVar(&s.keep, "keep", false, "leave converted images and the like below -work for the next time")
	flags.StringVar(&s.out, "out", "docs", "write benchmarks.md and its pictures to `DIR`")
	flags.StringVar(&s.results, "results", "bin/peers", "write what was measured to `DIR`, and write benchmarks.md from all that is there")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() != 1 {
		return s, errors.New("name the binary of ocifs, and nothing else")
	}
	if s.runs < 1 {
		return s, errors.New("-runs: at least 1")
	}
	var err error
	if s.binary, err = filepath.Abs(flags.Arg(0)); err != nil {
		return s, err
	}
	if s.work, err = filepath.Abs(s.work); err != nil {
		return s, err
	}
	if s.stargz != "" {
		if s.stargz, err = filepath.Abs(s.stargz); err != nil {
			return s, err
		}
	}
	if *only != "" {
		s.questions = strings.Split(*only, ",")
	}
	if s.links, err = parseLinks(*links); err != nil {
		return s, err
	}
	s.images, err = findLayouts(*images)
	return s, err
}

// measure answers the questions, one after the other, and writes the report
// after each, so that an interruption loses one answer at most.
func measure(ctx context.Context, s settings) error {
	asked, err := chosen(s.questions)
	if err != nil {
		return err
	}
	l, err := open(ctx, s)
	if err != nil {
		return err
	}
	defer l.close()
	var failed []string
	for _, q := range asked {
		a, err := l.answer(ctx, q)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err == nil {
			err = a.store(s.results)
		}
		if err == nil {
			err = writeReport(s.results, s.out)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "peers: %s: %v\n", q.name, err)
			failed = append(failed, q.name)
			continue
		}
		a.table(io.Writer(os.Stdout))
	}
	if len(failed) > 0 {
		return fmt.Errorf("no answer to %s", strings.Join(failed, ", "))
	}
	return nil
}
