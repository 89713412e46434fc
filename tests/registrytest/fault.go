package registrytest

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// A Fault is something that goes wrong: it stands before the handler of a
// request, and may change the request, the answer, or answer itself.
type Fault func(http.Handler) http.Handler

// Use adds faults, the first of them outermost.
func (r *Registry) Use(faults ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chain = append(r.chain[:len(r.chain):len(r.chain)], faults...)
}

// Heal removes all faults.
func (r *Registry) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chain = nil
}

// All joins faults, the first of them outermost.
func All(faults ...Fault) Fault {
	return func(next http.Handler) http.Handler {
		for _, f := range slices.Backward(faults) {
			next = f(next)
		}
		return next
	}
}

// If makes a fault happen to some requests only.
func If(match func(*http.Request) bool, f Fault) Fault {
	return func(next http.Handler) http.Handler {
		faulty := f(next)
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if match(req) {
				faulty.ServeHTTP(w, req)
			} else {
				next.ServeHTTP(w, req)
			}
		})
	}
}

// On makes a fault happen to requests of one kind.
func On(kind Kind, f Fault) Fault {
	return If(func(req *http.Request) bool { return KindOf(req) == kind }, f)
}

// Method makes a fault happen to requests of one method.
func Method(method string, f Fault) Fault {
	return If(func(req *http.Request) bool { return req.Method == method }, f)
}

// Times makes a fault happen to the first n requests that come to it.
func Times(n int, f Fault) Fault {
	var count atomic.Int64
	return If(func(*http.Request) bool { return count.Add(1) <= int64(n) }, f)
}

// After makes a fault happen to all but the first n requests that come to it.
func After(n int, f Fault) Fault {
	var count atomic.Int64
	return If(func(*http.Request) bool { return count.Add(1) > int64(n) }, f)
}

// Answer is the fault of answering by h.
func Answer(h http.HandlerFunc) Fault {
	return func(http.Handler) http.Handler { return h }
}

// Latency lets requests wait.
func Latency(d time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-timer.C:
				next.ServeHTTP(w, req)
			case <-req.Context().Done():
			}
		})
	}
}

// Status answers with an error.
func Status(status int) Fault {
	return Answer(func(w http.ResponseWriter, _ *http.Request) {
		Fail(w, status, "UNKNOWN", http.StatusText(status))
	})
}

// RetryAfter answers with an error and says when to come back: value is a
// number of seconds or a date.
func RetryAfter(status int, value string) Fault {
	return Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", value)
		Fail(w, status, "TOOMANYREQUESTS", "slow down")
	})
}

// HangUp closes the connection instead of answering.
func HangUp() Fault {
	return Answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// Redirect answers with a redirect.
func Redirect(status int, to func(*http.Request) string) Fault {
	return Answer(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", to(req))
		w.WriteHeader(status)
	})
}

// Page answers with a web page, and says that all is well.
func Page() Fault {
	return Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte("<!DOCTYPE html><title>Sign in</title>"))
	})
}

// Endless answers with a body that does not end.
func Endless(contentType string) Fault {
	return Answer(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", contentType)
		block := make([]byte, 32<<10)
		for i := range block {
			block[i] = ' '
		}
		for req.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
}
