package layertest

import (
	"archive/tar"
	"path"
	"time"
)

// Epoch is the modification time of entries that are given none.
var Epoch = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// An Entry is one member of an archive, made by the functions below.
type Entry struct {
	name, link   string
	typeflag     byte
	mode         int64
	uid, gid     int64
	major, minor int64
	modTime      time.Time
	body         []byte
	size         int64 // what the header says; -1: len(body)
	format       tar.Format
	records      []Record // PAX records, in order, before those the fields need
	patches      []func(header []byte)
	sparse       *sparse
	raw          []byte // these bytes and nothing else, if not nil
}

// A Record is one PAX record.
type Record struct{ Key, Value string }

// An Option changes an Entry while it is made.
type Option func(*Entry)

func newEntry(name string, typeflag byte, mode int64, options []Option) Entry {
	e := Entry{name: name, typeflag: typeflag, mode: mode, modTime: Epoch, size: -1, format: tar.FormatPAX}
	for _, o := range options {
		o(&e)
	}
	return e
}

// Dir is a directory, mode 0755. Its name is written as it is given: with a
// slash at its end or without.
func Dir(name string, options ...Option) Entry {
	return newEntry(name, tar.TypeDir, 0o755, options)
}

// File is a regular file, mode 0644.
func File(name, content string, options ...Option) Entry {
	return newEntry(name, tar.TypeReg, 0o644, append([]Option{Body(content)}, options...))
}

// Symlink is a symbolic link, mode 0777.
func Symlink(name, target string, options ...Option) Entry {
	return newEntry(name, tar.TypeSymlink, 0o777, append([]Option{Link(target)}, options...))
}

// Hardlink is a further name for the entry at target.
func Hardlink(name, target string, options ...Option) Entry {
	return newEntry(name, tar.TypeLink, 0o644, append([]Option{Link(target)}, options...))
}

// Char is a character device, mode 0644.
func Char(name string, major, minor int64, options ...Option) Entry {
	return newEntry(name, tar.TypeChar, 0o644, append([]Option{device(major, minor)}, options...))
}

// Block is a block device, mode 0644.
func Block(name string, major, minor int64, options ...Option) Entry {
	return newEntry(name, tar.TypeBlock, 0o644, append([]Option{device(major, minor)}, options...))
}

// Fifo is a named pipe, mode 0644.
func Fifo(name string, options ...Option) Entry {
	return newEntry(name, tar.TypeFifo, 0o644, options)
}

// Whiteout hides name in the layers below: an empty file etc/.wh.x for etc/x.
func Whiteout(name string, options ...Option) Entry {
	dir, base := path.Split(name)
	return File(dir+".wh."+base, "", options...)
}

// Opaque hides all that the layers below have in dir; "" is the root.
func Opaque(dir string, options ...Option) Entry {
	return File(path.Join(dir, ".wh..wh..opq"), "", options...)
}

// Global is a PAX global header.
func Global(records ...Record) Entry {
	e := newEntry("pax_global_header", tar.TypeXGlobalHeader, 0o644, nil)
	e.body = paxBody(records)
	return e
}

// Raw is no entry but any bytes, put into the archive as they are.
func Raw(b []byte) Entry { return Entry{raw: append([]byte{}, b...)} }

// Mode sets permission bits; what is above 07777 is written too.
func Mode(m int64) Option { return func(e *Entry) { e.mode = m } }

// Owner sets user and group.
func Owner(uid, gid int64) Option { return func(e *Entry) { e.uid, e.gid = uid, gid } }

// ModTime sets the modification time. A fraction of a second becomes a PAX
// record; other formats drop it.
func ModTime(t time.Time) Option { return func(e *Entry) { e.modTime = t } }

// Xattr adds an extended attribute, as a SCHILY.xattr record.
func Xattr(name, value string) Option { return PAX("SCHILY.xattr."+name, value) }

// PAX adds a PAX record. Records are written in the order given, the same key
// as often as it is given, before those that a field which does not fit its
// place in the header needs.
func PAX(key, value string) Option {
	return func(e *Entry) { e.records = append(e.records, Record{key, value}) }
}

// Format chooses the dialect for names and numbers that do not fit the plain
// header: tar.FormatPAX, the default, tar.FormatGNU or tar.FormatUSTAR.
func Format(f tar.Format) Option { return func(e *Entry) { e.format = f } }

// Type replaces the type flag.
func Type(flag byte) Option { return func(e *Entry) { e.typeflag = flag } }

// Link replaces the link target.
func Link(target string) Option { return func(e *Entry) { e.link = target } }

// Body replaces the content that follows the header.
func Body(content string) Option { return func(e *Entry) { e.body = []byte(content) } }

// Size makes the header claim a size other than the content's.
func Size(n int64) Option { return func(e *Entry) { e.size = n } }

// Patch edits the entry's own 512-byte header block; its checksum is made
// right again afterwards.
func Patch(edit func(header []byte)) Option {
	return func(e *Entry) { e.patches = append(e.patches, edit) }
}

func device(major, minor int64) Option {
	return func(e *Entry) { e.major, e.minor = major, minor }
}
