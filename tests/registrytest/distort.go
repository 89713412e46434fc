package registrytest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A distorted response passes its head and its body through functions.
type distorted struct {
	http.ResponseWriter
	head func(status int, h http.Header) int // may be nil
	body func(p []byte) error                // may be nil; writes what it likes to ResponseWriter
	done bool
}

func (w *distorted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *distorted) WriteHeader(status int) {
	w.done = true
	if w.head != nil {
		status = w.head(status, w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *distorted) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	if w.body == nil {
		return w.ResponseWriter.Write(p)
	}
	if err := w.body(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Head changes the status and the header of answers.
func Head(head func(status int, h http.Header) int) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(&distorted{ResponseWriter: w, head: head}, req)
		})
	}
}

// Header sets a header of answers, or deletes it if value is "".
func Header(key, value string) Fault {
	return Head(func(status int, h http.Header) int {
		if h.Del(key); value != "" {
			h.Set(key, value)
		}
		return status
	})
}

// Cut breaks the connection after n bytes of a body.
func Cut(n int64) Fault {
	return cut(n, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// Stall sends n bytes of a body and then nothing, until the client goes away.
func Stall(n int64) Fault {
	return cut(n, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
}

func cut(n int64, end http.HandlerFunc) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			left := n
			next.ServeHTTP(&distorted{ResponseWriter: w, body: func(p []byte) error {
				if int64(len(p)) < left {
					left -= int64(len(p))
					_, err := w.Write(p)
					return err
				}
				w.Write(p[:left])
				http.NewResponseController(w).Flush()
				end(w, req)
				return io.ErrClosedPipe
			}}, req)
		})
	}
}

// Short leaves out the last n bytes of a body and says so in Content-Length,
// though not in Content-Range.
func Short(n int64) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			var left int64
			next.ServeHTTP(&distorted{ResponseWriter: w,
				head: func(status int, h http.Header) int {
					length, _ := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
					left = max(length-n, 0)
					h.Set("Content-Length", strconv.FormatInt(left, 10))
					return status
				},
				body: func(p []byte) error {
					p = p[:min(int64(len(p)), left)]
					left -= int64(len(p))
					_, err := w.Write(p)
					return err
				}}, req)
		})
	}
}

// Flip inverts the byte at off in a body.
func Flip(off int64) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			at := off
			next.ServeHTTP(&distorted{ResponseWriter: w, body: func(p []byte) error {
				p = bytes.Clone(p)
				if 0 <= at && at < int64(len(p)) {
					p[at] ^= 0xff
				}
				at -= int64(len(p))
				_, err := w.Write(p)
				return err
			}}, req)
		})
	}
}

// IgnoreRange answers as if no range had been asked for.
func IgnoreRange() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req.Header.Del("Range")
			next.ServeHTTP(w, req)
		})
	}
}

// RangeAs200 sends ranges with status 200, but with Content-Range.
func RangeAs200() Fault {
	return Head(func(status int, _ http.Header) int {
		if status == http.StatusPartialContent {
			return http.StatusOK
		}
		return status
	})
}

// ShiftRange sends the range that begins delta bytes later than asked for,
// and says so.
func ShiftRange(delta int64) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			shift(req, delta)
			next.ServeHTTP(w, req)
		})
	}
}

// AtMost answers a request for a range with its first n bytes, and says so.
func AtMost(n int64) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			var start, end int64
			if k, _ := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &start, &end); k == 2 {
				req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, min(end, start+n-1)))
			}
			next.ServeHTTP(w, req)
		})
	}
}

// LieAboutRange sends the range that begins delta bytes later than asked for,
// and says that it is the one asked for.
func LieAboutRange(delta int64) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			asked := strings.TrimPrefix(req.Header.Get("Range"), "bytes=")
			shift(req, delta)
			next.ServeHTTP(&distorted{ResponseWriter: w, head: func(status int, h http.Header) int {
				_, total, _ := strings.Cut(h.Get("Content-Range"), "/")
				h.Set("Content-Range", "bytes "+asked+"/"+total)
				return status
			}}, req)
		})
	}
}

func shift(req *http.Request, delta int64) {
	var first, last int64
	if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &first, &last); err == nil {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first+delta, last+delta))
	}
}

// Multipart sends a range in the form that several ranges have.
func Multipart() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if r := req.Header.Get("Range"); r != "" {
				req.Header.Set("Range", r+",0-0")
			}
			next.ServeHTTP(w, req)
		})
	}
}

// Gzip encodes bodies, though nobody asked for it.
func Gzip() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			z := gzip.NewWriter(w)
			next.ServeHTTP(&distorted{ResponseWriter: w,
				head: func(status int, h http.Header) int {
					h.Set("Content-Encoding", "gzip")
					h.Del("Content-Length")
					return status
				},
				body: func(p []byte) error {
					_, err := z.Write(p)
					return err
				}}, req)
			z.Close()
		})
	}
}
