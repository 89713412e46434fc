package fetch

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Request is one that was sent. No credential is in it.
type Request struct {
	Method string
	URL    string        // without user, query and fragment, of which some are secrets
	Status int           // of the answer; 0: there was none
	Bytes  int64         // of its body, as far as it came
	Took   time.Duration // until the body was read to its end, or given up
	Err    string        // why there was no answer, or it broke off; "" if it is whole
}

// A meter counts requests, the bytes of their answers, and how often something
// was tried again; and tells of each request.
type meter struct {
	requests, bytes, retries atomic.Int64
	sent                     func(Request) // nil: nobody wants to know
}

// begun notes that a request is sent. What it returns is told how it ended, once.
func (m *meter) begun(req *http.Request) *sending {
	m.requests.Add(1)
	return &sending{m: m, start: time.Now(), r: Request{Method: req.Method, URL: clean(req.URL.String())}}
}

// A sending is a request under way.
type sending struct {
	m     *meter
	start time.Time
	once  sync.Once
	r     Request      // without Bytes
	bytes atomic.Int64 // of the body
}

func (s *sending) ended(err error) {
	s.once.Do(func() {
		if s.m.sent == nil {
			return
		}
		if s.r.Took, s.r.Bytes = time.Since(s.start), s.bytes.Load(); err != nil && err != io.EOF {
			s.r.Err = clean(err.Error())
		}
		s.m.sent(s.r)
	})
}

// metered is the body of an answer, counted.
type metered struct {
	io.ReadCloser
	s *sending
}

func (r *metered) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.s.m.bytes.Add(int64(n))
	r.s.bytes.Add(int64(n))
	if err != nil {
		r.s.ended(err)
	}
	return n, err
}

func (r *metered) Close() error {
	err := r.ReadCloser.Close() // which waits for a Read under way, or ends it
	r.s.ended(nil)
	return err
}
