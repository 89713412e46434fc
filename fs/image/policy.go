package image

import (
	"fmt"
	"slices"
	"strings"
)

// A Policy says whose word is taken on what lies where in a layer that has not
// been read whole here. Whatever it is, each chunk is verified before it is
// served; what a table of contents from elsewhere could lie about is the
// names and attributes of files, and which chunks are whose.
type Policy string

// The policies; each takes what the one before takes, and more.
const (
	PolicyOff        Policy = "off"        // nobody's: layers are read whole, even if they were before
	PolicyLocal      Policy = "local"      // what reading the whole layer has left in this cache
	PolicyTrusted    Policy = "trusted"    // and what the manifest vouches for with a digest: eStargz, TOC images, zstd:chunked, SOCI
	PolicyRepository Policy = "repository" // and an index that was pushed to the image's repository; the default
)

// Policies are all there are, the strictest first.
var Policies = []Policy{PolicyOff, PolicyLocal, PolicyTrusted, PolicyRepository}

// ParsePolicy is the policy of that name; "" is the default one.
func ParsePolicy(name string) (Policy, error) {
	p := Policy(name)
	if p == "" {
		return PolicyRepository, nil
	}
	if !slices.Contains(Policies, p) {
		var names []string
		for _, p := range Policies {
			names = append(names, string(p))
		}
		return "", fmt.Errorf("no index policy %q (there are %s)", name, strings.Join(names, ", "))
	}
	return p, nil
}

// allows says whether p, perhaps "", takes what q takes.
func (p Policy) allows(q Policy) bool {
	if p == "" {
		p = PolicyRepository
	}
	return slices.Index(Policies, p) >= slices.Index(Policies, q)
}

// An Origin says how a layer's table of contents was come by.
type Origin string

// The origins.
const (
	OriginRead     Origin = "read"      // the layer was read whole, just now
	OriginCache    Origin = "cache"     // it was read whole before, and the cache remembers
	OriginLayer    Origin = "layer"     // the layer brings it: eStargz, zstd:chunked
	OriginTOCImage Origin = "toc-image" // an eStargz layer's TOC image has it
	OriginSOCI     Origin = "soci"      // a SOCI index that the manifest names
	OriginPushed   Origin = "pushed"    // an ocifs index in the image's repository
	OriginRange    Origin = "range"     // a blob that is no archive needs none; it is verified once all of it was read
)

// files says whether a layer opened that way is known by its files only, and
// not as an archive: by a table that the manifest vouches for.
func (o Origin) files() bool { return o == OriginLayer || o == OriginTOCImage }
