package bundle

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// granted are the capabilities of root in a container, by name and number:
// Docker's default ones. CAP_MKNOD is not among them: without the devices
// cgroup, which not every runtime has, it would be the way to the host's disks.
var granted = []struct {
	name   string
	number uint
}{
	{"CAP_AUDIT_WRITE", unix.CAP_AUDIT_WRITE}, {"CAP_CHOWN", unix.CAP_CHOWN}, {"CAP_DAC_OVERRIDE", unix.CAP_DAC_OVERRIDE},
	{"CAP_FOWNER", unix.CAP_FOWNER}, {"CAP_FSETID", unix.CAP_FSETID}, {"CAP_KILL", unix.CAP_KILL},
	{"CAP_NET_BIND_SERVICE", unix.CAP_NET_BIND_SERVICE}, {"CAP_NET_RAW", unix.CAP_NET_RAW}, {"CAP_SETFCAP", unix.CAP_SETFCAP},
	{"CAP_SETGID", unix.CAP_SETGID}, {"CAP_SETPCAP", unix.CAP_SETPCAP}, {"CAP_SETUID", unix.CAP_SETUID},
	{"CAP_SYS_CHROOT", unix.CAP_SYS_CHROOT},
}

// capabilities are those granted, to root; any other user has them only as the
// most that could be had.
func capabilities(root bool) *specs.LinuxCapabilities {
	var set []string
	for _, c := range granted {
		set = append(set, c.name)
	}
	if !root {
		return &specs.LinuxCapabilities{Bounding: set}
	}
	return &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set}
}

// CapabilityMask is the set of capabilities of these names, one bit per number.
// A name that [New] gives to nobody is not in it.
func CapabilityMask(names []string) (mask uint64) {
	for _, c := range granted {
		if slices.Contains(names, c.name) {
			mask |= 1 << c.number
		}
	}
	return mask
}

// linux is what only Linux has: namespaces, and the parts of /proc and /sys
// that are none of a container's business.
func linux(o Options) *specs.Linux {
	l := &specs.Linux{
		Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
		},
		MaskedPaths: []string{
			"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
			"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
			"/sys/devices/virtual/powercap", "/sys/firmware",
		},
		ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
	}
	if o.Network == NetworkNone {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	}
	r := o.Rootless
	if r == nil {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
		return l
	}
	if r.Map != nil {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		l.UIDMappings = []specs.LinuxIDMapping{{HostID: r.Map.UID, Size: uint32(r.IDs)}}
		l.GIDMappings = []specs.LinuxIDMapping{{HostID: r.Map.GID, Size: uint32(r.IDs)}}
	}
	return l
}
