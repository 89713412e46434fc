package index

import "testing"

// TestCheckXattrName refuses names that no extended attribute can have, which
// tables in JSON can.
func TestCheckXattrName(t *testing.T) {
	for name, good := range map[string]bool{"user.a": true, "": false, "user.a\x00b": false, "\x00": false} {
		e := &Entry{Name: "f", Mode: ModeRegular, Xattrs: []Xattr{{Name: name}}}
		if err := (Limits{Xattrs: 1}).check(e); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
