package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// A registry is one repository of a registry that speaks the distribution
// protocol.
type registry struct {
	endpoint
	header http.Header // of all requests to it
	retry  patience

	network *network
	keys    *keychain
	tokens  *tokens
	authed  *auth.Client // for the registry; it follows no redirect
	plain   *http.Client // for where the registry sends us; it has no credentials

	mu sync.Mutex // guards the endpoint's schemes, of which one is left once there was an answer

	withheld atomic.Pointer[WithheldError] // why we are nobody from now on; nil: we are not

	align   int64       // of the ranges of blobs; 0: as they are wanted
	piece   int64       // pieceSize, but in tests
	asked   atomic.Bool // for a manifest, since it last had a blob
	habits  habits
	linking linking
}

// habits is what was learnt about how a registry answers requests for blobs.
type habits struct {
	direct  atomic.Bool  // it serves them itself, without redirects
	ranges  atomic.Bool  // a ranged request has been answered by a range
	ignored atomic.Int64 // when one was last answered by the whole blob; Unix ns
}

// rangesIgnoredFor is how long a server is taken to ignore ranges that did so
// once: a proxy that keeps blobs does it while it does not have them.
const rangesIgnoredFor = 30 * time.Second

func (h *habits) ignoresRanges() bool {
	t := h.ignored.Load()
	return t != 0 && time.Since(time.Unix(0, t)) < rangesIgnoredFor
}

func newRegistry(e endpoint, o Options, m *meter) (*registry, error) {
	r := &registry{endpoint: e, retry: patience{o.Retry.withDefaults(), o.warn, m}, tokens: new(tokens), align: o.RangeAlign, piece: pieceSize}
	if !e.named { // what was given outright is for nobody else
		o.Header, o.Scheme, o.Auth = nil, "", Auth{Files: o.Auth.Files, TokenHosts: o.Auth.TokenHosts}
	}
	o.SkipVerify = o.SkipVerify || e.insecure
	r.header = http.Header{}
	for _, header := range []http.Header{e.header, o.Header} {
		for k, v := range header {
			r.header[http.CanonicalHeaderKey(k)] = v
		}
	}
	agent := r.header.Values("User-Agent")
	if r.header.Del("User-Agent"); len(agent) == 0 {
		agent = []string{"ocifs"}
	}
	home := (&url.URL{Host: r.host}).Hostname()
	if r.schemes == nil || o.Scheme != "" {
		r.schemes = o.schemes(home)
	}
	var err error
	if r.network, err = newNetwork(home, e, o, m); err != nil {
		return nil, err
	}
	r.keys = &keychain{auth: o.Auth, ref: e.ref, helpers: e.helpers, warn: o.warn}
	r.authed = &auth.Client{
		Client: &http.Client{Transport: r.network, CheckRedirect: checkRedirect},
		Credential: func(ctx context.Context, _ string) (auth.Credential, error) {
			if r.withheld.Load() != nil {
				return auth.EmptyCredential, nil
			}
			return r.keys.find(ctx)
		},
		Cache:    r.tokens,
		Header:   http.Header{"User-Agent": agent},
		ClientID: "ocifs",
		// The network itself checks every address as it is dialled.
		BlockedRealmPrefixes: []netip.Prefix{},
	}
	r.plain = &http.Client{Transport: r.network, CheckRedirect: stay}
	return r, nil
}

// stay leaves redirects to us.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// checkRedirect leaves the API's redirects to us, and checks those of
// requests for tokens.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if attemptOf(req.Context()) != nil {
		return http.ErrUseLastResponse
	}
	return checkHop(via[len(via)-1].URL, req.URL, len(via))
}

func (r *registry) Close() error {
	r.network.close()
	return nil
}

// manifestTypes are the documents that registries keep as manifests; all else
// is a blob to them.
var manifestTypes = []string{
	ocispec.MediaTypeImageIndex,
	ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.oci.artifact.manifest.v1+json",
}

func isManifest(mediaType string) bool { return slices.Contains(manifestTypes, mediaType) }

// resolve asks for the tag's headers. If those are refused or of no use, it
// reads the manifest.
func (r *registry) resolve(ctx context.Context) (ocispec.Descriptor, document, error) {
	if r.ref.digest != "" {
		return ocispec.Descriptor{Digest: r.ref.digest}, document{}, nil
	}
	return r.resolveTag(ctx, r.ref.tag)
}

// resolveTag is resolve for a tag.
func (r *registry) resolveTag(ctx context.Context, tag string) (ocispec.Descriptor, document, error) {
	r.asked.Store(true)
	path := "manifests/" + tag
	if d, ok, err := r.head(ctx, path); err != nil || ok {
		return d, document{}, err
	}
	doc, named, err := r.read(ctx, path, r.accept(""))
	if err != nil {
		return ocispec.Descriptor{}, doc, err
	}
	if !json.Valid(doc.body) {
		return ocispec.Descriptor{}, doc, fmt.Errorf("%w: what the registry gives for the tag is not JSON but %q", ErrUnsupported, clip(doc.mediaType))
	}
	d := ocispec.Descriptor{MediaType: doc.mediaType, Digest: digest.FromBytes(doc.body), Size: int64(len(doc.body))}
	if checkDigest(named) == nil && d.MediaType != signedSchema1 {
		d.Digest = named
		if err := verify(d, doc.body); err != nil {
			return d, doc, err
		}
	}
	return d, doc, nil
}

// signedSchema1 is a manifest as Docker wrote them until 2015, of which a
// registry names the digest without the signatures in it. Nobody reads it; but
// who wants to know what there is can be told.
const signedSchema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"

// head asks for a manifest's headers; ok is false if they are of no use.
func (r *registry) head(ctx context.Context, path string) (d ocispec.Descriptor, ok bool, err error) {
	err = r.retry.do(ctx, func() error {
		resp, err := r.ask(ctx, http.MethodHead, path, r.accept(""))
		if err != nil {
			return err
		}
		discard(resp)
		if resp.StatusCode == http.StatusOK {
			d.Digest = digest.Digest(resp.Header.Get("Docker-Content-Digest"))
			d.MediaType = mediaType(resp)
			ok = checkDigest(d.Digest) == nil && isManifest(d.MediaType)
			return nil
		}
		if err := r.refused(resp); retryable(err) {
			return err
		}
		return nil
	})
	if !ok {
		d = ocispec.Descriptor{}
	}
	return d, ok, err
}

// wake asks for the manifest, if that has not been done since the registry last
// had a blob, and reports whether it is there.
func (r *registry) wake(ctx context.Context) bool {
	name := string(r.ref.digest)
	if name == "" {
		name = r.ref.tag
	}
	if r.asked.Swap(true) || name == "" {
		return false
	}
	_, ok, _ := r.head(ctx, "manifests/"+name)
	return ok
}

func (r *registry) document(ctx context.Context, d ocispec.Descriptor) (document, error) {
	path, header := "blobs/"+string(d.Digest), http.Header{}
	if d.MediaType == "" || isManifest(d.MediaType) {
		r.asked.Store(true)
		path, header = "manifests/"+string(d.Digest), r.accept(d.MediaType)
	}
	doc, _, err := r.read(ctx, path, header)
	return doc, err
}

// accept lists the media types of manifests, the expected one first, all in
// one line: some registries read no further.
func (r *registry) accept(first string) http.Header {
	types := slices.DeleteFunc(slices.Clone(manifestTypes), func(m string) bool { return m == first })
	if first != "" {
		types = slices.Insert(types, 0, first)
	}
	return http.Header{"Accept": {strings.Join(types, ", ")}}
}

// read reads a whole document, and what digest the registry says it has.
func (r *registry) read(ctx context.Context, path string, h http.Header) (document, digest.Digest, error) {
	doc, header, err := r.load(ctx, func(ctx context.Context) (*http.Response, error) {
		return r.get(ctx, path, h, nil)
	})
	return doc, digest.Digest(header.Get("Docker-Content-Digest")), err
}

// load reads the document that answers a request, and the answer's header.
func (r *registry) load(ctx context.Context, request func(context.Context) (*http.Response, error)) (doc document, header http.Header, err error) {
	err = r.retry.do(ctx, func() error {
		ctx, w := newWatch(ctx, r.retry.Stall)
		defer w.stop()
		resp, err := request(ctx)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return r.refused(resp)
		}
		if err := checkEncoding(resp); err != nil {
			return err
		}
		body, err := io.ReadAll(io.LimitReader(&watched{resp.Body, w, ctx}, MaxDocument+1))
		if err != nil {
			return r.broken(ctx, err)
		}
		if len(body) > MaxDocument {
			return fmt.Errorf("document of more than %d bytes: %w", MaxDocument, ErrUnsupported)
		}
		doc, header = document{body: body, mediaType: mediaType(resp)}, resp.Header
		return nil
	})
	return doc, header, err
}

// mediaType is a response's Content-Type without parameters.
func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// checkEncoding refuses content that was encoded though we asked for it as it
// is: its digest and its ranges would be another content's.
func checkEncoding(resp *http.Response) error {
	e := resp.Header.Get("Content-Encoding")
	if e == "" || strings.EqualFold(e, "identity") {
		return nil
	}
	return fmt.Errorf("%w: content encoded as %q", ErrUnsupported, clip(e))
}

// refused turns an answer into an error, with what the server says about it.
func (r *registry) refused(resp *http.Response) error {
	return &statusError{
		method:     resp.Request.Method,
		url:        clean(resp.Request.URL.String()),
		status:     resp.StatusCode,
		text:       serverText(resp),
		retryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		storage:    attemptOf(resp.Request.Context()) == nil,
		withheld:   r.withheld.Load(),
	}
}

// serverText reads an error as the distribution specification lays it out, or
// as a line of plain text.
func serverText(resp *http.Response) string {
	const most = 8 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil && len(body) == 0 {
		return ""
	}
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(body, &doc) == nil && len(doc.Errors) > 0 {
		e := doc.Errors[0]
		return clean(clipTo(strings.Trim(e.Code+": "+e.Message, ": "), 300))
	}
	if t := mediaType(resp); strings.HasPrefix(t, "text/plain") || resp.Header.Get("Content-Type") == "" {
		line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
		return clean(clip(line))
	}
	return ""
}

// broken explains why a connection ended.
func (r *registry) broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if !errors.Is(cause, errStalled) {
			return cause
		}
		err = fmt.Errorf("%s: %w", r.host, cause)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%s: connection lost in the answer", r.host)
	}
	return &networkError{err}
}

// discard gives a connection back that has little left to deliver.
func discard(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}
