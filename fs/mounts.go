package fs

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Type is what mount tables call a mount of ocifs.
const Type = "fuse." + subtype

const subtype = "ocifs"

// TypeBeneath is what mount tables call a mount of ocifs that MountBeneath has
// made. There are others of that type; the source of ours begins with "ocifs:".
const TypeBeneath = "erofs"

const beneathPrefix = subtype + ":"

// NoSource is what mount tables show where they can't show Options.Source.
const NoSource = subtype

// IsOurs says whether m is a mount of ocifs.
func IsOurs(m *mountinfo.Info) bool {
	return m.FSType == Type || m.FSType == TypeBeneath && strings.HasPrefix(m.Source, beneathPrefix)
}

// SourceOf is Options.Source of a mount of ocifs, as far as mount tables have it, or
// NoSource.
func SourceOf(m *mountinfo.Info) string {
	if m.FSType == Type {
		return m.Source
	}
	return strings.TrimPrefix(m.Source, beneathPrefix)
}

// A Table is a mount table: all mounts that a process can reach, and those that
// others hide. Reading it touches none of the mounts in it.
type Table []*mountinfo.Info

// ReadTable reads the table of this process; in a goroutine that is locked to
// its thread, of that thread.
func ReadTable() (Table, error) { return mountinfo.GetMounts(nil) }

// TableOf reads the table of another process, which may be in another mount
// namespace.
func TableOf(pid int) (Table, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// At returns the mount one sees at path, which is absolute and free of symbolic
// links; nil if nothing is mounted just there.
func (t Table) At(path string) *mountinfo.Info {
	for _, m := range t {
		if m.Mountpoint == path && t.Hiding(m) == nil {
			return m
		}
	}
	return nil
}

// Ours returns the mounts of ocifs, hidden ones too.
func (t Table) Ours() Table {
	var ours Table
	for _, m := range t {
		if IsOurs(m) {
			ours = append(ours, m)
		}
	}
	return ours
}

// IsTrigger reports whether m is a mount of autofs: of systemd's automount units
// or automount(8), there to have the image mounted on it at the first access.
// Who does that must be in the process group of whoever answers for m, as those
// see to: all others wait for it when they look at the mountpoint.
func IsTrigger(m *mountinfo.Info) bool { return m.FSType == "autofs" }

// byID returns the mount with that id, nil if there is none.
func (t Table) byID(id int) *mountinfo.Info {
	for _, m := range t {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// on returns what is mounted at path on the mount with that id, nil if nothing
// is: the one directly on it, which may be covered in turn.
func (t Table) on(id int, path string) *mountinfo.Info {
	for _, m := range t {
		if m.Parent == id && m.ID != id && m.Mountpoint == path {
			return m
		}
	}
	return nil
}

// topOn follows a stack of mounts at path from the mount with that id, which
// doesn't count, to the visible one.
func (t Table) topOn(id int, path string) *mountinfo.Info {
	var top *mountinfo.Info
	for range t { // no stack is higher than the table is long
		m := t.on(id, path)
		if m == nil {
			break
		}
		top, id = m, m.ID
	}
	return top
}

// Hiding returns a mount because of which m's mountpoint leads elsewhere: one
// on m itself, or one on a directory above that was made later. nil: m is what
// its mountpoint shows.
func (t Table) Hiding(m *mountinfo.Info) *mountinfo.Info {
	if over := t.on(m.ID, m.Mountpoint); over != nil {
		return over
	}
	for range t { // no mount is deeper than the table is long
		for _, x := range t {
			if x.Parent == m.Parent && x.ID != m.ID && x.ID != x.Parent && above(x.Mountpoint, m.Mountpoint) {
				return x
			}
		}
		parent := t.byID(m.Parent)
		if parent == nil || parent == m {
			break
		}
		m = parent
	}
	return nil
}

// above reports whether dir is path or a directory above it.
func above(dir, path string) bool {
	return dir == path || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// isFUSE reports whether m is a mount of FUSE, ours or not.
func isFUSE(m *mountinfo.Info) bool {
	return m.FSType == "fuse" || m.FSType == "fuseblk" || strings.HasPrefix(m.FSType, "fuse.")
}

// Device is st_dev of what m shows, as "major:minor". All mounts of a file
// system have it in common: bind mounts, copies in other namespaces.
func Device(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }
