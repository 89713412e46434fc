package fetch

import (
	"net/http"
	"net/url"
	"time"
)

// Options say how to reach what a reference names. The zero value is useful:
// https with the system's certificates, anonymously; http where the registry
// is on the loopback interface and does not speak TLS.
type Options struct {
	// Scheme is all that is spoken to a registry, wherever it is: "http" or
	// "https". "": what it speaks, as told above.
	Scheme string
	// SkipVerify accepts any TLS certificate, and http where the registry
	// does not speak TLS.
	SkipVerify bool
	// CAFile names a file of PEM certificates to trust beside the system's.
	CAFile string
	// Proxy chooses the proxy of a request, as http.Transport.Proxy does.
	// nil: none.
	Proxy func(*http.Request) (*url.URL, error)
	// Header is added to requests to the registry, and to nobody else.
	Header http.Header

	Auth  Auth
	Retry Retry

	// TempDir is where compressed archives are unpacked to, into a file
	// without a name, when they are read. "": os.TempDir().
	TempDir string
	// Memory keeps what was learnt about compressed archives, so that they are
	// not unpacked before a layer is read, and which of archives' claims were
	// found true (Blob.Prove). nil: nothing is kept.
	Memory Memory

	// Config names the files that say how registries are reached, and with
	// which mirrors. What is given outright, above, is for the registry that
	// the reference names, and for no other: but for CAFile and SkipVerify,
	// which are for whoever is asked in its place, too.
	Config Config
	// RangeAlign, if not 0, makes every range that is asked of a blob begin
	// and end at a multiple of so many bytes, or at the blob's end: a cache
	// that keeps what it was asked for finds it again.
	RangeAlign int64

	// Sent is told of each request that was sent to a registry, or to where it or
	// its token server is, when its answer has come to its end; it is called from
	// several goroutines. nil: nobody is.
	Sent func(Request)
	// Warn is told, in one line, what went not quite right. nil: nobody is.
	Warn func(string)
	// Debug is told, in one line, which of several servers gave what. nil:
	// nobody is.
	Debug func(string)
}

// Auth is who we are. The zero value is nobody.
//
// What is given outright comes first, then each file in turn, and the first
// credential that fits the repository is used. Files and helpers are asked
// anew whenever a token has run out, so that a new login is noticed.
type Auth struct {
	Username, Password string
	IdentityToken      string // also known as refresh token
	RegistryToken      string // a bearer token, used as it is

	// TokenHosts are hosts whose token servers are given the credentials, too.
	// Unless they are listed, only those are that belong to the registry, as
	// the package comment says.
	TokenHosts []string

	// Files are configuration files of Docker (config.json) or Podman
	// (auth.json), see DefaultAuthFiles. A file need not exist. Without any,
	// no helper is asked either.
	Files []string
}

// Retry bounds the patience with a registry. Zero fields have defaults.
type Retry struct {
	Attempts int           // tries without progress before giving up; 6
	MinWait  time.Duration // before the second try, doubled each time; 200 ms
	MaxWait  time.Duration // the longest wait, also if asked for by the registry; 60 s
	Stall    time.Duration // how long a connection may deliver nothing; 30 s
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 6
	}
	if r.MinWait <= 0 {
		r.MinWait = 200 * time.Millisecond
	}
	if r.MaxWait <= 0 {
		r.MaxWait = 60 * time.Second
	}
	if r.Stall <= 0 {
		r.Stall = 30 * time.Second
	}
	return r
}

func (o *Options) debug(msg string) {
	if o.Debug != nil {
		o.Debug(clean(msg))
	}
}

func (o *Options) warn(msg string) {
	if o.Warn != nil {
		o.Warn(clean(msg))
	}
}
