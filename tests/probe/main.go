// Command probe is what the tests run in containers: it tells where it is, and
// does what they ask. It needs nothing of the image but itself.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// readOnly is ST_RDONLY of statfs(2).
const readOnly = 1

func main() {
	if err := do(os.Args[1], append(os.Args[2:], "", "")); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func do(verb string, args []string) error {
	switch verb {
	case "id": // who and where it is
		groups, err := os.Getgroups()
		if err != nil {
			return err
		}
		slices.Sort(groups)
		cwd, err := os.Getwd()
		fmt.Println(os.Getuid(), os.Getgid(), groups, cwd)
		return err
	case "-c": // as python3, of which README.md asks one thing
		fmt.Println(6 * 7)
	case "env":
		fmt.Println(os.Getenv(args[0]))
	case "host":
		name, err := os.Hostname()
		fmt.Println(name)
		return err
	case "exit":
		var code int
		fmt.Sscan(args[0], &code)
		os.Exit(code)
	case "cat": // a file, or what comes in
		name := args[0]
		if name == "" {
			name = "/dev/stdin"
		}
		b, err := os.ReadFile(name)
		os.Stdout.Write(b)
		return err
	case "log": // as programs do that know files only
		return os.WriteFile("/dev/stdout", []byte(args[0]+"\n"), 0)
	case "write":
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "tty":
		width, height, err := term.GetSize(0)
		if err == nil {
			err = os.WriteFile("/dev/stdout", fmt.Appendln(nil, width, height, term.IsTerminal(1)), 0)
		}
		return err
	case "typed": // wait for Ctrl-C, and tell how wide the terminal becomes
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGWINCH)
		fmt.Println("ready")
		for s := range signals {
			if s == syscall.SIGINT {
				fmt.Println("interrupted")
				return nil
			}
			width, _, err := term.GetSize(0)
			fmt.Println("columns:", width, err)
		}
	case "confined": // capabilities it can have, and which of the paths could be written to
		b, err := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "CapPrm") || strings.HasPrefix(line, "CapBnd") {
				fmt.Print(line)
			}
		}
		for _, name := range args {
			var s syscall.Statfs_t
			if syscall.Statfs(name, &s) == nil && s.Flags&readOnly == 0 {
				fmt.Println(name)
			}
		}
		return err
	case "net": // interfaces but loopback
		links, err := os.ReadDir("/proc/sys/net/ipv4/conf")
		for _, l := range links {
			if n := l.Name(); n != "all" && n != "default" && n != "lo" {
				fmt.Println(n)
			}
		}
		return err
	case "wait": // for a signal
		signals := make(chan os.Signal, 1)
		signal.Notify(signals)
		fmt.Println("ready")
		for s := range signals {
			if s != syscall.SIGURG { // the Go runtime's own
				fmt.Println(s)
				return nil
			}
		}
	case "reads": // as a shell does that heeds no SIGHUP, and then writes a file
		signal.Ignore(syscall.SIGHUP)
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		return os.WriteFile(args[0], []byte("words"), 0o644)
	case "deaf": // to all signals
		signals := make(chan os.Signal, 1)
		signal.Notify(signals)
		fmt.Println("ready")
		for range signals {
		}
	}
	return nil
}
