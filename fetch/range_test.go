package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// What a test may expect beside nil and fetch.ErrNotFound and its like.
var (
	errDigest   = errors.New("a *fetch.DigestError")
	errAny      = errors.New("an error of no kind")
	errWhatever = errors.New("any error")
)

func checkErr(t testing.TB, err, want error) {
	t.Helper()
	var digest *fetch.DigestError
	switch {
	case want == nil && err != nil:
		t.Errorf("error: %v", err)
	case want == nil:
	case err == nil:
		t.Errorf("no error, want %v", want)
	case want == errWhatever:
	case want == errDigest && !errors.As(err, &digest), want != errDigest && want != errAny && !errors.Is(err, want):
		t.Errorf("error: %v, want %v", err, want)
	case want == errAny && (errors.Is(err, fetch.ErrNotFound) || errors.Is(err, fetch.ErrUnauthorized) || errors.Is(err, fetch.ErrUnsupported) || errors.Is(err, fetch.ErrUnreachable)):
		t.Errorf("error of a kind that it is not: %v", err)
	}
}

// A blob of this size is read by the tests below from 10_000 on.
const (
	small     = 100_000
	from      = 10_000
	wholeFrom = small - from
)

// TestReadAt reads through every kind of fault, and counts the requests that
// this takes.
func TestReadAt(t *testing.T) {
	soon, late := time.Now().UTC().Add(-time.Minute).Format(http.TimeFormat), time.Now().UTC().Add(time.Hour).Format(http.TimeFormat)
	total := func(total string) Fault {
		return Head(func(status int, h http.Header) int {
			span, _, _ := strings.Cut(h.Get("Content-Range"), "/")
			h.Set("Content-Range", span+"/"+total)
			return status
		})
	}
	for _, c := range []struct {
		name   string
		fault  Fault
		length int
		err    error
		blob   int // requests
	}{
		{"plain", nil, 1000, nil, 1},
		{"to the end", nil, wholeFrom, nil, 1},
		{"latency", Latency(time.Millisecond), 1000, nil, 1},
		{"503 twice", Times(2, Status(503)), 1000, nil, 3},
		{"500 for ever", Status(500), 1000, fetch.ErrUnreachable, 3},
		{"501", Status(501), 1000, fetch.ErrUnreachable, 1},
		{"429, retry after seconds", Times(2, RetryAfter(429, "0")), 1000, nil, 3},
		{"429, retry after a date", Times(2, RetryAfter(429, soon)), 1000, nil, 3},
		{"503, retry after a date", Times(2, RetryAfter(503, soon)), 1000, nil, 3},
		{"429, retry after too long", RetryAfter(429, "3600"), 1000, fetch.ErrUnreachable, 1},
		{"429, retry after a date too late", RetryAfter(429, late), 1000, fetch.ErrUnreachable, 1},
		{"429, retry after nonsense", Times(2, RetryAfter(429, "tomorrow")), 1000, nil, 3},
		{"404", Status(404), 1000, fetch.ErrNotFound, 1},
		{"400", Status(400), 1000, errAny, 1},
		{"416", Status(416), 1000, errAny, 1},
		{"403", Status(403), 1000, fetch.ErrUnauthorized, 1},
		{"401 without a challenge", Status(401), 1000, fetch.ErrUnauthorized, 1},
		{"hang up once", Times(1, HangUp()), 1000, nil, 2},
		{"hang up for ever", HangUp(), 1000, fetch.ErrUnreachable, 3},
		{"cut once", Times(1, Cut(10)), 1000, nil, 2},
		{"cut at once", Times(2, Cut(0)), 1000, nil, 3},
		{"cut with next to no progress", Cut(10), 1000, fetch.ErrUnreachable, 3},
		{"cut with progress, many times", Cut(10_000), 75_000, nil, 8},
		{"short once", Times(1, Short(500)), 1000, nil, 2},
		{"short for ever", Short(1000), 1000, fetch.ErrUnreachable, 3},
		{"short for ever, with progress", AtMost(5000), 75_000, fetch.ErrUnreachable, 3},
		{"shorter than asked, but not short", AtMost(70_000), 75_000, nil, 2},
		{"range ignored", IgnoreRange(), 1000, nil, 1},
		{"range ignored, cut with progress", Times(1, On(Blob, All(Cut(from+5000), IgnoreRange()))), 20_000, nil, 2},
		{"range ignored, cut before the range", All(Cut(from-1), IgnoreRange()), 1000, fetch.ErrUnreachable, 3},
		{"200 with Content-Range", RangeAs200(), 1000, nil, 1},
		{"another range", ShiftRange(1), 1000, fetch.ErrUnreachable, 3},
		{"another range once", Times(1, ShiftRange(-1)), 1000, nil, 2},
		{"a longer range", lengthen, 1000, fetch.ErrUnreachable, 3},
		{"without a length", Header("Content-Length", ""), 1000, nil, 1},
		{"whole, without a length", All(Header("Content-Length", ""), IgnoreRange()), 1000, nil, 1},
		{"several ranges", Multipart(), 1000, fetch.ErrUnreachable, 3},
		{"no Content-Range", Header("Content-Range", ""), 1000, fetch.ErrUnreachable, 3},
		{"malformed Content-Range", Header("Content-Range", "bytes 1000-/"), 1000, fetch.ErrUnreachable, 3},
		{"Content-Range without a total", total("*"), 1000, nil, 1},
		{"another total", total(fmt.Sprint(small + 1)), 1000, errDigest, 1},
		{"another length", All(Header("Content-Length", "1"), IgnoreRange()), 1000, errDigest, 1},
		{"encoded", Gzip(), 1000, fetch.ErrUnsupported, 1},
		{"wrong bytes are not our business", LieAboutRange(0), 1000, nil, 1},
		{"redirect without an address", All(Header("Location", ""), Status(302)), 1000, fetch.ErrUnreachable, 3},
		{"not modified", Status(304), 1000, errAny, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{})
			data := noise(small)
			d := reg.PutBlob("", data)
			if c.fault != nil {
				reg.Use(c.fault)
			}
			b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), d)
			p := make([]byte, c.length)
			n, err := b.ReadAt(p, from)
			checkErr(t, err, c.err)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err != nil && !strings.Contains(err.Error(), reg.Host) {
				t.Errorf("%v: blames the blob, and not the registry", err)
			}
			if err == nil && n != len(p) {
				t.Errorf("%d bytes without an error, want %d", n, len(p))
			}
			if !bytes.Equal(p[:n], data[from:from+n]) {
				t.Error("wrong bytes")
			}
			want := map[Kind]int{Blob: c.blob}
			if c.err == fetch.ErrNotFound {
				want[Manifest] = 1 // see remote.open
			}
			expect(t, reg, want)
		})
	}
}

// lengthen sends a longer range than was asked for.
func lengthen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Header.Set("Range", req.Header.Get("Range")+"0")
		next.ServeHTTP(w, req)
	})
}

func TestReadAtBounds(t *testing.T) {
	reg := Start(t, Options{})
	data := noise(100)
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), reg.PutBlob("", data))
	if b.Size() != 100 || b.Digest().Validate() != nil {
		t.Error(b.Size(), b.Digest())
	}
	for _, c := range []struct {
		off  int64
		len  int
		n    int
		err  error
		reqs int
	}{
		{0, 100, 100, nil, 1},
		{0, 101, 100, io.EOF, 1},
		{99, 1, 1, nil, 1},
		{99, 2, 1, io.EOF, 1},
		{100, 1, 0, io.EOF, 0},
		{1 << 62, 1, 0, io.EOF, 0},
		{50, 0, 0, nil, 0},
	} {
		reg.Reset()
		p := make([]byte, c.len)
		n, err := b.ReadAt(p, c.off)
		if n != c.n || err != c.err || reg.Count() != c.reqs {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v by %d requests, want %d, %v by %d", c.len, c.off, n, err, reg.Count(), c.n, c.err, c.reqs)
		}
		if n > 0 && !bytes.Equal(p[:n], data[c.off:][:n]) {
			t.Errorf("ReadAt(%d bytes, %d): wrong bytes", c.len, c.off)
		}
	}
	if _, err := b.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("no error for a negative offset")
	}
}

// TestStall gives up on connections that deliver nothing, and tries again.
func TestStall(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
	}{
		{"before the answer", Latency(time.Hour)},
		{"before the body", Stall(0)},
		{"in the body", Stall(500)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg := Start(t, Options{})
			data := noise(1000)
			d := reg.PutBlob("", data)
			reg.Use(Times(1, c.fault))
			retry := impatient
			retry.Stall = time.Second
			b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{Retry: retry}), d)
			p := make([]byte, 1000)
			if _, err := b.ReadAt(p, 0); err != nil || !bytes.Equal(p, data) {
				t.Error(err)
			}
			expect(t, reg, map[Kind]int{Blob: 2})
		})
	}
}

// arrives makes a channel that is closed when a request arrives, by a fault
// that is none.
func arrives() (Fault, <-chan struct{}) {
	arrived := make(chan struct{})
	var once sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			once.Do(func() { close(arrived) })
			next.ServeHTTP(w, req)
		})
	}, arrived
}

// TestCancel ends a read by its context, without further requests.
func TestCancel(t *testing.T) {
	reg := Start(t, Options{})
	d := reg.PutBlob("", noise(1000))
	arrival, arrived := arrives()
	reg.Use(arrival, Stall(10))
	ctx, cancel := context.WithCancel(context.Background())
	b, err := open(t, reg.Host+"/a/b:c", fetch.Options{}).Blob(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := b.ReadAt(make([]byte, 1000), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := b.ReadAt(make([]byte, 1000), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	expect(t, reg, map[Kind]int{Blob: 1})
}
