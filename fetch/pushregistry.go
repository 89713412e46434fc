package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// home is the repository's own address. It is known once ask had an answer.
func (r *registry) home() *url.URL {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &url.URL{Scheme: r.schemes[0], Host: r.host, Path: r.root + "/" + r.ref.repo + "/"}
}

// scoped makes requests under ctx ask for a token that allows actions, where
// they need a new one.
func (r *registry) scoped(ctx context.Context, actions ...string) context.Context {
	return auth.AppendScopesForHost(ctx, r.host, auth.ScopeRepository(r.ref.repo, actions...))
}

// exchange sends one request, with a payload if p is not nil, and returns its
// answer if that is a success. Its body has been dropped.
func (r *registry) exchange(ctx context.Context, method string, u *url.URL, h http.Header, p *payload) (*http.Response, error) {
	ctx, w := newWatch(ctx, r.retry.Stall)
	defer w.stop()
	if p != nil {
		p.mu.Lock()
		p.watch = w
		p.mu.Unlock()
	}
	resp, err := r.sendBody(ctx, method, u, h, p)
	if p != nil {
		if err := p.failed(); err != nil {
			if resp != nil {
				resp.Body.Close()
			}
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	w.start() // what follows is short
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, r.refused(resp)
	}
	discard(resp)
	return resp, nil
}

// putBlob asks whether the blob is there and sends it if not, in one request.
func (r *registry) putBlob(ctx context.Context, p *payload) error {
	defer p.done()
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	there, err := r.hasBlob(ctx, p.Digest)
	if err != nil || there {
		return err
	}
	return r.retry.do(ctx, func() error { return r.upload(ctx, p) })
}

// hasBlob asks for a blob's headers. A redirect leads to where it is kept, so
// it is there; a refusal may be one of the question.
func (r *registry) hasBlob(ctx context.Context, d digest.Digest) (there bool, err error) {
	err = r.retry.do(ctx, func() error {
		resp, err := r.ask(ctx, http.MethodHead, "blobs/"+string(d), nil)
		if err != nil {
			return err
		}
		defer discard(resp)
		if there = resp.StatusCode == http.StatusOK || isRedirect(resp); there {
			return nil
		}
		if err := r.refused(resp); retryable(err) {
			return err
		}
		return nil
	})
	return there, err
}

// upload sends a blob: it opens a session and sends all to where that is.
func (r *registry) upload(ctx context.Context, p *payload) error {
	home := r.home()
	resp, err := r.exchange(ctx, http.MethodPost, home.JoinPath("blobs/uploads/"), nil, nil)
	if err != nil {
		return unsupported(err, "the registry takes no uploads")
	}
	u, err := uploadURL(home, resp.Request.URL, resp.Header.Get("Location"), p.Digest)
	if err != nil {
		return err
	}
	resp, err = r.exchange(ctx, http.MethodPut, u, http.Header{"Content-Type": {"application/octet-stream"}}, p)
	if isStatus(err, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable) {
		return &answerError{"the registry has lost the upload: " + err.Error()}
	}
	if err != nil {
		return err
	}
	return stored(resp, p.Digest)
}

// uploadURL is where to send a blob to, from the answer of at.
func uploadURL(home, at *url.URL, location string, d digest.Digest) (*url.URL, error) {
	if location == "" {
		return nil, &answerError{clean(at.Host) + ": an upload without a location"}
	}
	u, err := staying(home, at, location)
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "digest=" + url.QueryEscape(string(d))
	u.Fragment = ""
	return u, nil
}

// unsupported makes an error ErrUnsupported whose answer says that this is
// what it is.
func unsupported(err error, what string) error {
	status := (*statusError)(nil)
	if isStatus(err, http.StatusMethodNotAllowed, http.StatusNotImplemented) ||
		errors.As(err, &status) && strings.HasPrefix(status.text, "UNSUPPORTED") {
		return fmt.Errorf("%w: %s: %s", ErrUnsupported, what, err)
	}
	return err
}

// stored checks what the registry says it has stored, if it says so.
func stored(resp *http.Response, want digest.Digest) error {
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if got != "" && got != want && got.Algorithm() == want.Algorithm() {
		return fmt.Errorf("the registry says that it has stored %q, not %s", clip(string(got)), want)
	}
	return nil
}

// putManifest pushes a manifest that is not there yet, and sees to it that it
// is listed among its subject's referrers.
func (r *registry) putManifest(ctx context.Context, m *manifest) error {
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	name := string(m.Digest)
	if m.tagged {
		if name = r.ref.tag; name == "" {
			return errNoTag
		}
	}
	d, ok, err := r.head(ctx, "manifests/"+name)
	if err != nil {
		return err
	}
	if ok && d.Digest == m.Digest && (m.subject == nil || r.lists(ctx, m)) {
		return nil
	}
	answer, err := r.putDocument(ctx, name, m.MediaType, m.body)
	if err != nil || m.subject == nil || answer.Get("OCI-Subject") != "" {
		return err
	}
	return r.updateFallback(ctx, *m.subject, func(l *listing) (bool, error) {
		if l.has(m.Digest) {
			return false, nil
		}
		return true, l.add(m.Descriptor)
	})
}

// lists reports whether a manifest is known as a referrer of its subject.
func (r *registry) lists(ctx context.Context, m *manifest) bool {
	list, err := r.referrers(ctx, *m.subject, m.ArtifactType)
	if err != nil {
		return false
	}
	for _, d := range list {
		if d.Digest == m.Digest {
			return true
		}
	}
	return false
}

// putDocument pushes a manifest under a tag or its digest, and returns the
// answer's header.
func (r *registry) putDocument(ctx context.Context, name, mediaType string, body []byte) (header http.Header, err error) {
	d := digest.FromBytes(body)
	p := bytesPayload(d, body)
	defer p.done()
	u := r.home().JoinPath("manifests", name)
	err = r.retry.do(ctx, func() error {
		resp, err := r.exchange(ctx, http.MethodPut, u, http.Header{"Content-Type": {mediaType}}, p)
		if err != nil {
			return unsupported(err, "the registry takes no manifests")
		}
		header = resp.Header
		return stored(resp, d)
	})
	return header, err
}

// deleteManifest deletes a manifest, then its entry in the list of its
// subject's referrers: a registry that has the API sees to that itself.
func (r *registry) deleteManifest(ctx context.Context, d ocispec.Descriptor) error {
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush, auth.ActionDelete)
	doc, err := r.document(ctx, ocispec.Descriptor{Digest: d.Digest})
	if err == nil {
		err = verify(ocispec.Descriptor{Digest: d.Digest}, doc.body)
	}
	if err != nil {
		return err
	}
	if err := r.deleteDocument(ctx, d.Digest); err != nil {
		return err
	}
	l, err := parseLinks(doc.body)
	if err != nil || l.Subject == nil || checkDigest(l.Subject.Digest) != nil {
		return nil
	}
	return r.updateFallback(ctx, *l.Subject, func(l *listing) (bool, error) {
		return l.remove(func(e ocispec.Descriptor) bool { return e.Digest == d.Digest }), nil
	})
}

func (r *registry) deleteDocument(ctx context.Context, d digest.Digest) error {
	u := r.home().JoinPath("manifests", string(d))
	tries := 0
	return r.retry.do(ctx, func() error {
		tries++
		_, err := r.exchange(ctx, http.MethodDelete, u, nil, nil)
		if tries > 1 && isStatus(err, http.StatusNotFound) {
			return nil // the try before had an effect, though no answer
		}
		return unsupported(err, "the registry does not delete manifests")
	})
}
