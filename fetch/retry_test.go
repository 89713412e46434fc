package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestParseRetryAfter(t *testing.T) {
	for s, want := range map[string]retryAfter{
		"0":                              {0, true},
		"5":                              {5 * time.Second, true},
		" 120 ":                          {2 * time.Minute, true},
		"Fri, 02 Jan 2026 03:04:15 GMT":  {10 * time.Second, true},
		"Friday, 02-Jan-26 03:04:15 GMT": {10 * time.Second, true},
		"Fri Jan  2 03:04:15 2026":       {10 * time.Second, true},
		"Fri, 02 Jan 2026 03:04:00 GMT":  {0, true}, // past
		"":                               {},
		"-1":                             {},
		"1.5":                            {},
		"soon":                           {},
		"99999999999999999999":           {},
	} {
		if got := parseRetryAfter(s, now); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"0", "120", "Fri, 02 Jan 2026 03:04:15 GMT", "Fri Jan  2 03:04:15 2026", "-1", "9999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r := parseRetryAfter(s, now); r.wait < 0 || !r.set && r.wait != 0 {
			t.Errorf("%+v", r)
		}
	})
}

func status(code int, after string) error {
	return &statusError{status: code, retryAfter: parseRetryAfter(after, now)}
}

// TestPause waits as long as it should, by a clock of its own.
func TestPause(t *testing.T) {
	var warnings []string
	r := patience{
		Retry{Attempts: 4, MinWait: 200 * time.Millisecond, MaxWait: time.Minute, Stall: time.Second},
		func(s string) { warnings = append(warnings, s) },
		new(meter),
	}
	network := &networkError{&url.Error{Err: io.EOF}}
	for _, c := range []struct {
		name     string
		tries    int
		err      error
		min, max time.Duration
		end      bool
	}{
		{"first", 1, network, 100 * time.Millisecond, 200 * time.Millisecond, false},
		{"second", 2, network, 200 * time.Millisecond, 400 * time.Millisecond, false},
		{"third", 3, network, 400 * time.Millisecond, 800 * time.Millisecond, false},
		{"last", 4, network, 0, 0, true},
		{"503", 1, status(503, ""), 100 * time.Millisecond, 200 * time.Millisecond, false},
		{"Retry-After", 1, status(429, "7"), 7 * time.Second, 7 * time.Second, false},
		{"Retry-After, as long as we have", 1, status(429, "60"), time.Minute, time.Minute, false},
		{"Retry-After, too long", 1, status(429, "61"), 0, 0, true},
		{"Retry-After with 503", 1, status(503, "Fri, 02 Jan 2026 03:04:15 GMT"), 10 * time.Second, 10 * time.Second, false},
		{"404", 1, status(404, "1"), 0, 0, true},
		{"no such host", 1, &networkError{&net.DNSError{IsNotFound: true}}, 0, 0, true},
		{"name server down", 1, &networkError{&net.DNSError{IsTimeout: true}}, 100 * time.Millisecond, 200 * time.Millisecond, false},
		{"certificate", 1, &networkError{x509.UnknownAuthorityError{}}, 0, 0, true},
		{"http at an https port", 1, &networkError{http.ErrSchemeMismatch}, 0, 0, true},
		{"refused address", 1, &networkError{&net.OpError{Err: &refusal{"no"}}}, 0, 0, true},
		{"anything else", 1, errors.New("x"), 0, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			err := r.pause(context.Background(), c.tries, fmt.Errorf("x: %w", c.err))
			if waited := time.Since(start); waited < c.min || waited > c.max {
				t.Errorf("%s: waited %v, want %v to %v", c.name, waited, c.min, c.max)
			}
			if (len(warnings) > 0) != (c.max >= longWait) {
				t.Errorf("%s: warnings: %q", c.name, warnings)
			}
			warnings = nil
			if (err != nil) != c.end {
				t.Errorf("%s: %v", c.name, err)
			}
			if err != nil && !errors.Is(err, c.err) {
				t.Errorf("%s: %v is not %v", c.name, err, c.err)
			}
		})
	}
}

func TestPauseCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		err := patience{Retry{}.withDefaults(), func(string) {}, new(meter)}.pause(ctx, 1, status(429, "50"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Error(err, time.Since(start))
		}
	})
}

// TestBackoff stays within its bounds, however often it is asked.
func TestBackoff(t *testing.T) {
	r := Retry{}.withDefaults()
	for tries := 1; tries < 100; tries++ {
		if d := r.backoff(tries); d < r.MinWait/2 || d > r.MaxWait {
			t.Errorf("try %d: %v", tries, d)
		}
	}
}
