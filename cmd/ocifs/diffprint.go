package main

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fs/diff"
	"ocifs.dev/ocifs/index"
)

// lines prints a change per line.
func (d *differ) lines(p string, changes []diff.Change, config []string) error {
	if len(config) > 0 {
		if _, err := fmt.Fprintf(d.u.out, "%s  %s\n", d.letter('C'), strings.Join(config, ", ")); err != nil {
			return err
		}
	}
	for _, c := range changes {
		line := d.letter(byte(c.Status)) + "  " + quote(path.Join(p, c.Path))
		if how := d.how(c); how != "" {
			line += "  (" + how + ")"
		}
		if _, err := fmt.Fprintln(d.u.out, line); err != nil {
			return err
		}
	}
	return nil
}

// letter is a status in its colour: green, red, yellow.
func (d *differ) letter(s byte) string {
	if !d.u.color {
		return string(s)
	}
	return "\x1b[" + map[byte]string{'A': "32", 'D': "31"}[s] + "m" + string(s) + "\x1b[m"
}

// how says what is different.
func (d *differ) how(c diff.Change) string {
	if c.Status != diff.Modified && c.Status != diff.Retyped {
		return ""
	}
	a, b := d.a.Tree().Attr(c.Old), d.b.Tree().Attr(c.New)
	was := func(what string, x, y any) string { return fmt.Sprintf("%s %v → %v", what, x, y) }
	if c.Status == diff.Retyped {
		return was("type", longTypes[a.Mode&index.ModeType], longTypes[b.Mode&index.ModeType])
	}
	var list []string
	for _, what := range c.What.Names() {
		switch what {
		case "mode":
			what = was(what, fmt.Sprintf("%04o", a.Mode&index.ModePerm), fmt.Sprintf("%04o", b.Mode&index.ModePerm))
		case "owner":
			what = was(what, fmt.Sprintf("%d:%d", a.UID, a.GID), fmt.Sprintf("%d:%d", b.UID, b.GID))
		case "size":
			what = was(what, a.Size, b.Size)
		case "target":
			what = was(what, quote(d.a.Tree().Readlink(c.Old)), quote(d.b.Tree().Readlink(c.New)))
		case "device":
			what = was(what, fmt.Sprintf("%d:%d", a.Major, a.Minor), fmt.Sprintf("%d:%d", b.Major, b.Minor))
		case "links":
			what = was(what, a.Nlink, b.Nlink)
		case "xattr":
			what += " " + strings.Join(xattrChanges(d.a.Tree().Xattrs(c.Old), d.b.Tree().Xattrs(c.New)), " ")
		}
		list = append(list, what)
	}
	return strings.Join(list, ", ")
}

// xattrChanges are the names of attributes that are not the same in both.
func xattrChanges(a, b []index.Xattr) (names []string) {
	for _, x := range slices.Concat(a, b) {
		if name := quote(x.Name); (!slices.Contains(a, x) || !slices.Contains(b, x)) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// configChanges are the names of settings that differ between two
// configurations, as they are called there.
func configChanges(a, b ocispec.Image) (names []string) {
	x, y := reflect.ValueOf(a.Config), reflect.ValueOf(b.Config)
	for i := range x.NumField() {
		f, g := x.Field(i), y.Field(i)
		empty := f.Kind() == reflect.Slice || f.Kind() == reflect.Map
		if empty = empty && f.Len() == 0 && g.Len() == 0; !empty && !reflect.DeepEqual(f.Interface(), g.Interface()) {
			names = append(names, x.Type().Field(i).Name)
		}
	}
	if platformName(a.Platform) != platformName(b.Platform) {
		names = append(names, "Platform")
	}
	return names
}

// A jsonChange is a change, for JSON.
type jsonChange struct {
	Status     string    `json:"status"` // added, deleted, modified, retyped
	Path       string    `json:"path"`
	PathBase64 string    `json:"path_base64,omitempty"`
	What       []string  `json:"what,omitempty"`
	Old        *fileInfo `json:"old,omitempty"`
	New        *fileInfo `json:"new,omitempty"`
}

// A jsonSide is what was compared, for JSON.
type jsonSide struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitempty"` // of an image's manifest
}

var statusNames = map[diff.Status]string{
	diff.Added: "added", diff.Deleted: "deleted", diff.Modified: "modified", diff.Retyped: "retyped",
}

func (d *differ) document(p string, changes []diff.Change, config []string) error {
	list := []jsonChange{}
	oldInodes, newInodes := inodesOf(d.a.Tree()), inodesOf(d.b.Tree())
	for _, c := range changes {
		at := path.Join(p, c.Path)
		j := jsonChange{Status: statusNames[c.Status], What: c.What.Names()}
		j.Path, j.PathBase64 = forJSON(at)
		if c.Status != diff.Added {
			j.Old = new(infoAt(d.a.Tree(), oldInodes, at, c.Old))
		}
		if c.Status != diff.Deleted {
			j.New = new(infoAt(d.b.Tree(), newInodes, at, c.New))
		}
		list = append(list, j)
	}
	return d.u.json(struct {
		Schema  string       `json:"schema"`
		Old     jsonSide     `json:"old"`
		New     jsonSide     `json:"new"`
		Config  []string     `json:"config"` // settings that differ
		Changes []jsonChange `json:"changes"`
	}{"ocifs.dev/diff/v1", d.a.json(), d.b.json(), append([]string{}, config...), list})
}

func (s *diffSide) json() jsonSide {
	j := jsonSide{Name: s.name}
	if s.manifest != nil {
		j.Digest = s.manifest.Descriptor.Digest.String()
	}
	return j
}
