package tests

import (
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// hostsOwn is what "probe confined" is asked of: parts of /proc and /sys that
// are the machine's, and that root could change it by.
var hostsOwn = []string{
	"confined", "/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
	"/proc/irq", "/proc/bus", "/proc/fs", "/sys", "/sys/kernel",
}

// confined is what it says as root: that it can have the capabilities which
// config.json lists, 0 to 8 but for 2, 10, 13, 18, 29 and 31, and no others, and
// that it can write to none of the paths.
const confined = "CapPrm:\t00000000a00425fb\nCapBnd:\t00000000a00425fb\n"

// TestRunConfined has root of a container reach nothing of the machine's, with
// every runtime.
func TestRunConfined(t *testing.T) {
	runtimes := needContainers(t)
	u := newUser(t)
	ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
	for _, runtime := range runtimes {
		for _, flags := range [][]string{nil, {"--network=none"}, {"--user=0:100"}} {
			args := slices.Concat([]string{"run", "--runtime", runtime}, flags, []string{ref}, hostsOwn)
			if got := u.ok(t, args...); got != confined {
				t.Errorf("%s %q: %s", runtime, flags, got)
			}
		}
	}
	u.nothingLeft(t, u.home)
}

// TestRunConfinedRootless is TestRunConfined for the root of a user namespace.
func TestRunConfinedRootless(t *testing.T) {
	runtimes := needContainers(t)
	u := newSomebody(t, "")
	ref := u.layoutOf(t, probeImage(t, ocispec.ImageConfig{})) + ":probe"
	for _, runtime := range runtimes {
		args := slices.Concat([]string{"run", "--quiet", "--runtime", runtime, ref}, hostsOwn)
		if out, err := u.as(t, filepath.Join(u.home, "ocifs"), args...).CombinedOutput(); string(out) != confined || err != nil {
			t.Errorf("%s: %v: %s", runtime, err, out)
		}
	}
	u.nothingLeft(t, u.home+"/state")
}
