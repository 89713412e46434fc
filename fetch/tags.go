package fetch

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on the list of a repository's tags: the largest public repositories
// have some 100,000.
const (
	maxTags     = 1 << 20
	maxTagPages = 2000 // such a repository's, of 50 tags each
	tagPage     = 1000 // as many as registries that check it let one ask for
)

// Tags lists the names that images have in the repository, the layout or the
// archive of ref, in the order in which it tells them, and what ref is in full
// without one; a tag or a digest in ref makes no difference. It lists limit of
// them at most, and asks for no more; 0 is all.
//
// In a layout or an archive, an image without a name is listed by what stands
// for it in a reference: @DIGEST, or @N in a Docker archive. A registry's tags
// are a claim; what can't be a tag is left out with a warning.
func Tags(ctx context.Context, ref string, o Options, limit int) (name string, tags []string, err error) {
	r, err := ParseReference(ref)
	if err != nil {
		return "", nil, err
	}
	r.tag, r.digest = "", ""
	if limit <= 0 || limit > maxTags {
		limit = maxTags
	}
	s := &Source{ref: r, meter: &meter{sent: o.Sent}}
	if r.transport == transportRegistry {
		tags, err = s.remoteTags(ctx, r, o, limit)
	} else {
		tags, err = localTags(ctx, r, o)
	}
	return s.Name(), tags[:min(limit, len(tags))], s.explain(err)
}

// A tagLister is a repository in a registry.
type tagLister interface {
	tags(ctx context.Context, limit int, warn func(string)) ([]string, error)
}

// remoteTags lists a repository's tags, and makes s its source.
func (s *Source) remoteTags(ctx context.Context, r Reference, o Options, limit int) (tags []string, err error) {
	if s.place, s.ref, err = openRegistry(r, o, s.meter); err != nil {
		return nil, err
	}
	defer s.place.Close()
	return s.place.(tagLister).tags(ctx, limit, o.warn)
}

// tags asks for page after page.
func (r *registry) tags(ctx context.Context, limit int, warn func(string)) (tags []string, err error) {
	path := "tags/list?n=" + strconv.Itoa(min(limit, tagPage))
	var next *url.URL
	for page := 0; page == 0 || next != nil && len(tags) < limit; page++ {
		if page == maxTagPages || len(tags) >= maxTags {
			return nil, fmt.Errorf("%w: more than %d tags, or %d pages of them", ErrUnsupported, maxTags, maxTagPages)
		}
		var at *url.URL
		doc, answer, err := r.load(ctx, func(ctx context.Context) (*http.Response, error) {
			resp, err := r.getPage(ctx, path, next, http.Header{"Accept": {"application/json"}})
			if err == nil {
				at = resp.Request.URL
			}
			return resp, err
		})
		if err != nil {
			return nil, err
		}
		list, err := parseTags(doc.body)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if isTag(t) {
				tags = append(tags, t)
			} else {
				warn(fmt.Sprintf("%s: the registry lists a tag that is none: %q", r.ref, clip(t)))
			}
		}
		if next, err = r.nextPage(at, answer); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// parseTags reads one page.
func parseTags(body []byte) ([]string, error) {
	var page struct{ Tags []string }
	if err := Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("%w: the list of tags: %w", ErrUnsupported, err)
	}
	return page.Tags, nil
}

// isTag says whether s is a tag as the distribution specification has them:
// [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func isTag(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i, c := range []byte(s) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return true
}

// localTags lists the images of a layout or an archive.
func localTags(ctx context.Context, r Reference, o Options) ([]string, error) {
	if r.transport == transportLayout {
		p, err := openLayout(r, o)
		if err != nil {
			return nil, err
		}
		return listed(p.(*layout))
	}
	a, err := readArchive(ctx, r.path, o)
	if err != nil {
		return nil, err
	}
	hasIndex, hasManifest := a.has(ocispec.ImageIndexFile), a.has(dockerManifest)
	if r.transport == transportDockerArchive || r.transport == transportArchive && hasManifest && (!hasIndex || isEmpty(a)) {
		defer a.Close()
		images, err := dockerImages(a)
		return dockerTags(images), err
	}
	l, err := newLayout(r, a, o)
	if err != nil {
		return nil, err
	}
	return listed(l)
}

// listed names each image of a layout once, and closes it.
func listed(l *layout) (tags []string, err error) {
	defer l.Close()
	index, err := l.index()
	seen := map[string]bool{}
	for _, d := range images(index.Manifests) {
		name := d.Annotations[ocispec.AnnotationRefName]
		if name == "" {
			name = "@" + d.Digest.String()
		}
		if !seen[name] {
			tags = append(tags, name)
		}
		seen[name] = true
	}
	return tags, err
}

func dockerTags(images []dockerImage) (tags []string) {
	for i, image := range images {
		if len(image.RepoTags) == 0 {
			tags = append(tags, fmt.Sprintf("@%d", i))
		}
		tags = append(tags, image.RepoTags...)
	}
	return tags
}
