package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter is what a server asks for in Retry-After; set is false if it
// asks for nothing.
type retryAfter struct {
	wait time.Duration
	set  bool
}

// parseRetryAfter reads the header's two forms: seconds, or a date.
func parseRetryAfter(s string, now time.Time) retryAfter {
	s = strings.TrimSpace(s)
	if secs, err := strconv.ParseUint(s, 10, 31); err == nil {
		return retryAfter{time.Duration(secs) * time.Second, true}
	}
	if t, err := http.ParseTime(s); err == nil {
		return retryAfter{max(t.Sub(now), 0), true}
	}
	return retryAfter{}
}

// retryable reports whether to try again after err could help.
func retryable(err error) bool {
	if status := (*statusError)(nil); errors.As(err, &status) {
		switch status.status {
		case 404, 410, 416:
			return false
		case 408, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524:
			return true
		}
		return status.storage // a signed address may have run out: we ask for a new one
	}
	if answer := (*answerError)(nil); errors.As(err, &answer) {
		return true
	}
	if network := (*networkError)(nil); errors.As(err, &network) {
		return !hopeless(network.err)
	}
	return false
}

// hopeless reports whether a failure to talk at all will be the same for
// ever: the name does not exist, the certificate is not trusted.
func hopeless(err error) bool {
	var (
		dns      *net.DNSError
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		refused  *refusal
	)
	return errors.As(err, &dns) && dns.IsNotFound ||
		errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &hostname) ||
		errors.As(err, &refused) || withoutTLS(err)
}

// patience is a Retry that says when it waits for long.
type patience struct {
	Retry
	warn func(string)
	m    *meter // of retries
}

// longWait is what a user should be told about.
const longWait = 5 * time.Second

// pause waits before the next try, the tries-th in a row to have failed being
// behind us, and returns nil; or it returns the error to give up with.
func (r patience) pause(ctx context.Context, tries int, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !retryable(err) {
		return err
	}
	if tries >= r.Attempts && tries == 1 {
		return err
	}
	if tries >= r.Attempts {
		return fmt.Errorf("%w (after %d tries)", err, tries)
	}
	wait := r.backoff(tries)
	if status := (*statusError)(nil); errors.As(err, &status) && status.retryAfter.set {
		wait = status.retryAfter.wait
		if wait > r.MaxWait {
			return fmt.Errorf("%w (to be tried again after %v)", err, wait)
		}
	}
	if wait >= longWait {
		r.warn(fmt.Sprintf("waiting %v: %v", wait.Round(time.Second), err))
	}
	err = sleep(ctx, wait)
	if err == nil {
		r.m.retries.Add(1)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backoff doubles from MinWait on, and takes a random moment in the second
// half of that, so that many readers do not come back at once.
func (r Retry) backoff(tries int) time.Duration {
	d := r.MinWait << min(tries-1, 20)
	if d <= 0 || d > r.MaxWait {
		d = r.MaxWait
	}
	return d/2 + rand.N(d/2+1)
}

// do calls f until it succeeds or trying again is in vain.
func (r patience) do(ctx context.Context, f func() error) error {
	for tries := 1; ; tries++ {
		err := f()
		if err == nil {
			return nil
		}
		if err := r.pause(ctx, tries, err); err != nil {
			return err
		}
	}
}
