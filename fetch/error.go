package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// What a caller may want to tell apart, by errors.Is.
var (
	// ErrNotFound: the place can be reached and does not have it.
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized: the registry, or who gives tokens for it, refused.
	ErrUnauthorized = errors.New("access refused")
	// ErrUnreachable: no answer, or no useful one, after all retries.
	ErrUnreachable = errors.New("unreachable")
	// ErrBlocked: this machine's configuration forbids it.
	ErrBlocked = errors.New("blocked")
	// ErrShortName: this machine's configuration does not let a name without
	// a registry mean anything.
	ErrShortName = errors.New("no registry")
	// ErrUnsupported: it is there, but not of a kind that can be read.
	ErrUnsupported = errors.New("unsupported")
)

// An Error says which source an operation failed for. Its text is one line
// without credentials, signed query strings or control characters.
type Error struct {
	Name string // Source.Name
	Err  error
}

func (e *Error) Error() string { return clean(shown(e.Name) + ": " + e.Err.Error()) }
func (e *Error) Unwrap() error { return e.Err }

// A DigestError says that content is not what its descriptor says.
type DigestError struct {
	Want, Got         digest.Digest // Got is "" if only the size was compared
	WantSize, GotSize int64
}

func (e *DigestError) Error() string {
	if e.Got == e.Want || e.Got == "" {
		return fmt.Sprintf("content has %d bytes, not %d", e.GotSize, e.WantSize)
	}
	return fmt.Sprintf("content has digest %s, not %s", e.Got, e.Want)
}

// A statusError is an answer other than the one hoped for.
type statusError struct {
	method, url string
	status      int
	text        string // what the server said, cleaned; may be ""
	retryAfter  retryAfter
	storage     bool           // it came from where the registry had sent us
	withheld    *WithheldError // what we did not show; may be nil
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%s %s: status %d", e.method, e.url, e.status)
	if e.text != "" {
		s += ": " + e.text
	}
	if e.withheld != nil && errors.Is(e, ErrUnauthorized) {
		s += ": " + e.withheld.Error()
	}
	return s
}

// Unwrap sorts the answer into the kinds a caller knows. Refusals by storage
// are no verdict on the user's credentials, which it has never seen.
func (e *statusError) Unwrap() error {
	switch {
	case e.status == 404 || e.status == 410:
		return ErrNotFound
	case e.storage:
		return ErrUnreachable
	case e.status == 401 || e.status == 403 || e.status == 407:
		if e.withheld != nil {
			return e.withheld
		}
		return ErrUnauthorized
	case e.status == 408 || e.status == 429 || e.status >= 500:
		return ErrUnreachable
	}
	return nil
}

// A networkError is no answer at all, or one that broke off.
type networkError struct{ err error }

func (e *networkError) Error() string { return e.err.Error() }

// Unwrap hides the end of a connection: it is not the end of what was read.
func (e *networkError) Unwrap() []error {
	if errors.Is(e.err, io.EOF) || errors.Is(e.err, io.ErrUnexpectedEOF) {
		return []error{ErrUnreachable}
	}
	return []error{ErrUnreachable, e.err}
}

// An answerError is an answer that breaks the rules of HTTP or does not fit
// what was asked.
type answerError struct{ msg string }

func (e *answerError) Error() string { return e.msg }
func (e *answerError) Unwrap() error { return ErrUnreachable }

// A refusal is an address that we will not talk to, though the registry tells
// us to.
type refusal struct{ msg string }

func (e *refusal) Error() string { return e.msg }
func (e *refusal) Unwrap() error { return ErrUnreachable }

// errStalled is why a request was given up that made no progress.
var errStalled = errors.New("no data for too long")

// canceled reports whether err is the end of a context rather than a failure.
func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// urls matches URLs in texts: scheme, userinfo, the rest, query and fragment.
var urls = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s"'/?#]*@)?([^\s"'?#]*)([?#][^\s"']*)?`)

// maxText bounds an error's text, and maxName the reference in it, so that
// there is room for what is wrong with that.
const (
	maxText = 1000
	maxName = 300
)

// shown is a reference for use in a message.
func shown(ref string) string { return clean(clipTo(ref, maxName)) }

// clean makes a text from outside fit to be shown: no userinfo and no query
// in URLs, no control characters, not too long.
func clean(s string) string {
	s = urls.ReplaceAllString(s, "$1$3")
	return quoteControls(clipTo(s, maxText))
}

func quoteControls(s string) string {
	if strings.IndexFunc(s, odd) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if odd(r) || (r == utf8.RuneError && n == 1) {
			q := strconv.QuoteToASCII(s[i : i+n])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func odd(r rune) bool { return !unicode.IsPrint(r) }

// clip shortens what somebody else wrote, for use in a message.
func clip(s string) string { return clipTo(s, 100) }

func clipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
