package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A remote is a blob in a registry.
type remote struct {
	r      *registry
	digest digest.Digest
	size   int64
	where  whereabouts

	ctx    context.Context // bounds every request
	cancel context.CancelFunc
}

func (r *registry) blob(ctx context.Context, d ocispec.Descriptor) (medium, error) {
	return r.remote(ctx, d), nil
}

func (r *registry) remote(ctx context.Context, d ocispec.Descriptor) *remote {
	b := &remote{r: r, digest: d.Digest, size: d.Size}
	b.ctx, b.cancel = context.WithCancel(ctx)
	return b
}

func (b *remote) Close() error {
	b.cancel()
	return nil
}

// ReadAt reads by one bounded request; more follow only if that is cut short.
func (b *remote) ReadAt(p []byte, off int64) (int, error) {
	s := &resuming{ctx: b.ctx, b: b, off: off, end: off + int64(len(p))}
	defer s.Close()
	return io.ReadFull(s, p)
}

// A body is the answer to one ranged request.
type body struct {
	io.Reader // the bytes asked for, from their beginning; perhaps not all
	whole     bool
	resp      *http.Response
	w         *watch
}

func (b *body) Close() {
	b.w.stop()
	b.resp.Body.Close()
}

// open sends one request, for blob[off:off+n]. The answer may turn out to be
// the whole blob, in which case it yields all that follows off.
//
// A registry that does not have the blob is asked again once it has been asked
// for the manifest: one that copies images from elsewhere may have to be told
// so what it is about.
func (b *remote) open(ctx context.Context, off, n int64) (*body, error) {
	body, err := b.openOnce(ctx, off, n)
	if lacks(err) && b.r.wake(ctx) {
		body, err = b.openOnce(ctx, off, n)
	}
	if err == nil {
		b.r.asked.Store(false) // if it forgets what it has, it is woken again
	}
	return body, err
}

// lacks reports whether a registry itself has answered that it has no such
// blob.
func lacks(err error) bool {
	status := (*statusError)(nil)
	return errors.As(err, &status) && status.status == http.StatusNotFound && !status.storage
}

func (b *remote) openOnce(ctx context.Context, off, n int64) (*body, error) {
	ctx, w := newWatch(ctx, b.r.retry.Stall)
	start, end := b.aligned(off, off+n)
	resp, err := b.ask(ctx, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", start, end-1)}})
	if err != nil {
		w.stop()
		return nil, err
	}
	body := &body{resp: resp, w: w}
	got, err := b.accept(resp, start, end-start)
	if err != nil {
		body.Close()
		return nil, err
	}
	got.skip, got.n = got.skip+off-start, got.n-(off-start)
	if body.whole = got.whole; !got.whole {
		got.n = min(got.n, n)
	}
	body.Reader = io.LimitReader(&skipping{r: &watched{resp.Body, w, ctx}, skip: got.skip}, got.n)
	return body, nil
}

// aligned widens an interval of the blob to what is asked for at a time.
func (b *remote) aligned(start, end int64) (int64, int64) {
	unit := b.r.align
	if unit <= 1 {
		return start, end
	}
	start -= start % unit
	if rest := end % unit; rest > 0 {
		end += min(unit-rest, b.size-end)
	}
	return start, end
}

// ask sends a request for the blob to where it was found last, or else to the
// registry. An address that answers with an error is forgotten, and the
// registry asked for another one, once.
func (b *remote) ask(ctx context.Context, h http.Header) (*http.Response, error) {
	for try := 1; ; try++ {
		at, err := b.where.take(ctx, &b.r.habits)
		if err != nil {
			return nil, err
		}
		if at.url == nil {
			resp, err := b.r.get(ctx, "blobs/"+string(b.digest), h, at.found)
			if err == nil && at.moved == nil && resp.StatusCode < 300 {
				b.r.habits.direct.Store(true)
			}
			if at.moved != nil && (err != nil || resp.StatusCode >= 400) {
				b.where.forget(at.moved)
			}
			at.done()
			return resp, err
		}
		resp, err := b.r.getAway(ctx, at.url, h)
		if err == nil && resp.StatusCode < 400 {
			return resp, nil
		}
		b.where.forget(at.url)
		if try == 2 || ctx.Err() != nil {
			return resp, err
		}
		if err == nil {
			discard(resp)
		}
	}
}

// An answer says what a response's body holds: the blob from off-skip on, of
// which n bytes from off on are to be used.
type answer struct {
	skip, n int64
	whole   bool // it is the whole blob, though a range was asked for
}

// accept checks that a response is an answer to a request for blob[off:off+n].
func (b *remote) accept(resp *http.Response, off, n int64) (answer, error) {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		return answer{}, b.r.refused(resp)
	}
	from := clean(resp.Request.URL.Host)
	if err := checkEncoding(resp); err != nil {
		return answer{}, fmt.Errorf("%s: %w", from, err)
	}
	if strings.HasPrefix(mediaType(resp), "multipart/") {
		return answer{}, &answerError{from + ": several ranges in answer to a request for one"}
	}
	if s := resp.Header.Get("Content-Range"); s != "" {
		start, end, total, err := parseContentRange(s)
		switch {
		case err != nil:
			return answer{}, &answerError{from + ": " + err.Error()}
		case total >= 0 && total != b.size:
			return answer{}, &DigestError{Want: b.digest, WantSize: b.size, GotSize: total}
		case start != off || end > off+n:
			return answer{}, &answerError{fmt.Sprintf("%s: bytes %d to %d in answer to a request for %d to %d", from, start, end, off, off+n)}
		}
		b.r.habits.ranges.Store(true)
		b.r.habits.ignored.Store(0)
		return answer{n: end - start}, nil
	}
	if resp.StatusCode == http.StatusPartialContent {
		return answer{}, &answerError{from + ": a range without Content-Range"}
	}
	if resp.ContentLength >= 0 && resp.ContentLength != b.size {
		return answer{}, &DigestError{Want: b.digest, WantSize: b.size, GotSize: resp.ContentLength}
	}
	if off > 0 || n < b.size {
		b.r.habits.ignored.Store(time.Now().UnixNano())
	}
	return answer{skip: off, n: b.size - off, whole: true}, nil
}

// parseContentRange parses "bytes 0-499/1234" (RFC 9110, section 14.4) into
// the interval [start, end) and the total, -1 if it is not known.
func parseContentRange(s string) (start, end, total int64, err error) {
	fail := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("malformed Content-Range %q", clip(s))
	}
	unit, rest, _ := strings.Cut(s, " ")
	span, size, ok := strings.Cut(rest, "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !strings.EqualFold(unit, "bytes") || !ok || !ok2 {
		return fail()
	}
	a, err1 := strconv.ParseUint(first, 10, 63)
	z, err2 := strconv.ParseUint(last, 10, 62) // so that the end, one more, fits
	if err1 != nil || err2 != nil || z < a {
		return fail()
	}
	total = -1
	if size != "*" {
		t, err := strconv.ParseUint(size, 10, 63)
		if err != nil || t <= z {
			return fail()
		}
		total = int64(t)
	}
	return int64(a), int64(z) + 1, total, nil
}

// watched tells a watch about every piece of data.
type watched struct {
	r   io.Reader
	w   *watch
	ctx context.Context
}

func (w *watched) Read(p []byte) (int, error) {
	w.w.start()
	n, err := w.r.Read(p)
	w.w.timer.Stop()
	if err != nil && context.Cause(w.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}

// skipping drops the first bytes of a stream.
type skipping struct {
	r    io.Reader
	skip int64
}

func (s *skipping) Read(p []byte) (int, error) {
	for s.skip > 0 {
		n, err := io.CopyN(io.Discard, s.r, s.skip)
		s.skip -= n
		if err != nil {
			return 0, err
		}
	}
	return s.r.Read(p)
}
