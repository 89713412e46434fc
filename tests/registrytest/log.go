package registrytest

import (
	"net/http"
	"slices"
	"sync"
)

// A Request is one entry of the log.
type Request struct {
	Kind          Kind
	Method        string
	Path          string
	Query         string
	Range         string // the header
	Authorization string // the header
	Header        http.Header
	Proto         string // HTTP/1.1
	Remote        string // the connection it came by
	Status        int    // of the answer; 0 until it begins
	Bytes         int64  // of the answer's body, up to now
}

// A Log is the list of all requests, complete at every moment: a request is
// in it before its answer begins.
type Log struct {
	mu       sync.Mutex // guards all entries
	requests []*Request
}

func (l *Log) begin(kind Kind, w http.ResponseWriter, req *http.Request) *logged {
	entry := &Request{
		Kind:          kind,
		Method:        req.Method,
		Path:          req.URL.Path,
		Query:         req.URL.RawQuery,
		Range:         req.Header.Get("Range"),
		Authorization: req.Header.Get("Authorization"),
		Header:        req.Header.Clone(),
		Proto:         req.Proto,
		Remote:        req.RemoteAddr,
	}
	l.mu.Lock()
	l.requests = append(l.requests, entry)
	l.mu.Unlock()
	return &logged{w, l, entry}
}

// Requests returns the log up to now: of some kinds, or, without arguments,
// of all.
func (l *Log) Requests(kinds ...Kind) []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []Request
	for _, r := range l.requests {
		if len(kinds) == 0 || slices.Contains(kinds, r.Kind) {
			list = append(list, *r)
		}
	}
	return list
}

// Count counts the requests of some kinds, or of all.
func (l *Log) Count(kinds ...Kind) int { return len(l.Requests(kinds...)) }

// Bytes sums the bodies of the answers to requests of some kinds, or of all.
func (l *Log) Bytes(kinds ...Kind) (n int64) {
	for _, r := range l.Requests(kinds...) {
		n += r.Bytes
	}
	return n
}

// Reset empties the log.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = nil
}

// logged is a response that is written down.
type logged struct {
	http.ResponseWriter
	log   *Log
	entry *Request
}

// end notes the status of an answer that has neither body nor status.
func (w *logged) end() {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	if w.entry.Status == 0 {
		w.entry.Status = http.StatusOK
	}
}

func (w *logged) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *logged) WriteHeader(status int) {
	w.log.mu.Lock()
	w.entry.Status = status
	w.log.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w *logged) Write(p []byte) (int, error) {
	w.log.mu.Lock()
	if w.entry.Status == 0 {
		w.entry.Status = http.StatusOK
	}
	w.entry.Bytes += int64(len(p))
	w.log.mu.Unlock()
	return w.ResponseWriter.Write(p)
}
