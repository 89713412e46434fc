package main

import (
	"slices"

	"github.com/moby/sys/mountinfo"

	"ocifs.dev/ocifs/fs"
	"ocifs.dev/ocifs/fs/bundle"
)

// The states of a mount.
const (
	stateOK        = "ok"        // mounted and served
	stateDegraded  = "degraded"  // the same, but its process says that something is wrong
	stateCovered   = "covered"   // behind another mount on it, or above it
	stateElsewhere = "elsewhere" // mounted in another mount namespace than ours
	stateDetached  = "detached"  // in no mount table, served until its last user lets go
	stateDead      = "dead"      // the daemon is gone
	stateUnknown   = "unknown"   // mounted, and recorded nowhere we can look
)

// A place is where the mount of a record is, for who has a mount table.
type place struct {
	state string
	mount *mountinfo.Info // nil: in no table
	cover *mountinfo.Info // what hides it, if it is covered
}

// place finds the mount of a record: in the table, which is ours, or else in
// that of its daemon.
func (r *record) place(table fs.Table) place {
	running := r.running()
	if m := r.in(table); m != nil && (running || m.Mountpoint == r.Mountpoint) {
		cover := table.Hiding(m)
		if cover != nil && r.Overlay && isOverlay(cover) {
			cover = table.Hiding(cover)
		}
		switch {
		case cover != nil:
			return place{stateCovered, m, cover}
		case !running:
			return place{stateDead, m, nil}
		}
		return place{stateOK, m, nil}
	}
	if !running {
		return place{state: stateDead}
	}
	if theirs, err := fs.TableOf(r.PID); err == nil && inOtherNamespace(r.PID) {
		if m := r.in(theirs); m != nil {
			return place{stateElsewhere, m, nil}
		}
	}
	return place{state: stateDetached}
}

// isOverlay reports whether m is an overlay over an image, which is there to be
// written to and hides nothing.
func isOverlay(m *mountinfo.Info) bool {
	return m.FSType == "overlay" && m.Source == bundle.OverlaySource
}

// in is the record's mount in a table: at its mountpoint, or where it has been
// moved to, or bound; nil if it is not there.
func (r *record) in(table fs.Table) *mountinfo.Info {
	ours := slices.DeleteFunc(table.Ours(), func(m *mountinfo.Info) bool { return !r.means(m) })
	for _, m := range ours {
		if m.Mountpoint == r.Mountpoint {
			return m
		}
	}
	if len(ours) > 0 {
		return ours[0]
	}
	return nil
}

// means reports whether m shows what the record's mount does. The kernel gives
// the number of a device that is gone to the next one, so the image has to be
// the same, too, if its name is one that mount tables have as it is.
func (r *record) means(m *mountinfo.Info) bool {
	const longest = 1024
	source := fs.SourceOf(m)
	return fs.Device(m) == r.Device && (source == r.Ref || source == fs.NoSource || len(r.Ref) > longest || !plain(r.Ref))
}

// recordOfMount is the record of a mount in our table.
func recordOfMount(records []record, m *mountinfo.Info) *record {
	var found *record
	for i := range records {
		r := &records[i]
		// A killed daemon's device may be another's by now.
		if r.means(m) && (found == nil || r.running()) {
			found = r
		}
	}
	return found
}

// lastAt is the record of the youngest mount at path.
func lastAt(records []record, path string) *record {
	for i := range slices.Backward(records) {
		if records[i].Mountpoint == path {
			return &records[i]
		}
	}
	return nil
}
