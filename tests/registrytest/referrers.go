package registrytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A ReferrersAPI says how a registry answers for the referrers of a manifest.
// The zero value has no such API, as most registries.
type ReferrersAPI struct {
	API    bool // there is one; answers to pushes have OCI-Subject
	Filter bool // it applies artifactType, and says so
	Page   int  // most entries of a page; 0: all are in one

	// SubjectTag resolves the tag sha256-HEX to the manifest with that
	// digest, as GitLab does.
	SubjectTag bool
}

// referrers answers for the manifests that have a subject.
func (r *Registry) referrers(w http.ResponseWriter, req *http.Request, repo, subject string) {
	api := r.options.Referrers
	if !api.API {
		Fail(w, http.StatusNotFound, "UNSUPPORTED", "no such endpoint")
		return
	}
	list := r.Referrers(repo, digest.Digest(subject))
	query := req.URL.Query()
	if t := query.Get("artifactType"); t != "" && api.Filter {
		list = slices.DeleteFunc(list, func(d ocispec.Descriptor) bool { return d.ArtifactType != t })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if api.Page > 0 {
		page, _ := strconv.Atoi(query.Get("page"))
		from := min(page*api.Page, len(list))
		rest := list[from:]
		if len(rest) > api.Page {
			query.Set("page", strconv.Itoa(page+1))
			next := url.URL{Path: req.URL.Path, RawQuery: query.Encode()}
			w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next.String()))
			rest = rest[:api.Page]
		}
		list = rest
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	w.Write(encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: list,
	}))
}

// Referrers lists the manifests of a repository that have a subject, ordered
// by digest. The list is not nil.
func (c *content) Referrers(repo string, subject digest.Digest) []ocispec.Descriptor {
	c.lock.Lock()
	defer c.lock.Unlock()
	list := []ocispec.Descriptor{}
	for _, name := range slices.Sorted(maps.Keys(c.manifests[repo])) {
		m := c.manifests[repo][name]
		var doc struct {
			ArtifactType string
			Config       ocispec.Descriptor
			Subject      *ocispec.Descriptor
			Annotations  map[string]string
		}
		if digest.Digest(name).Validate() != nil || json.Unmarshal(m.body, &doc) != nil || doc.Subject == nil || doc.Subject.Digest != subject {
			continue
		}
		if doc.ArtifactType == "" {
			doc.ArtifactType = doc.Config.MediaType
		}
		list = append(list, ocispec.Descriptor{
			MediaType:    m.mediaType,
			Digest:       digest.Digest(name),
			Size:         int64(len(m.body)),
			ArtifactType: doc.ArtifactType,
			Annotations:  doc.Annotations,
		})
	}
	return list
}

// DeleteManifest removes a manifest, and its tags if name is its digest, or
// only the tag that name is. It reports whether there was one.
func (c *content) DeleteManifest(repo, name string) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	if _, ok := c.manifests[repo][name]; !ok {
		return false
	}
	maps.DeleteFunc(c.manifests[repo], func(key string, m manifest) bool {
		return key == name || digest.FromBytes(m.body).String() == name
	})
	return true
}
