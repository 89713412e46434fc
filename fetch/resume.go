package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// A resuming reader yields blob[off:end], and asks for the rest anew whenever
// an answer ends before its time.
type resuming struct {
	ctx      context.Context
	b        *remote
	off, end int64

	body   *body
	since  int64 // bytes since the body was opened
	asked  int64 // bytes that the body was to have
	tries  int   // failures in a row
	shorts int   // answers in a row that were complete, but shorter than they should be
}

const (
	// minProgress is what an answer must deliver for its early end not to
	// count as a failure.
	minProgress = 4 << 10
	// minAnswer is what a server must deliver if it gives less than was asked
	// for and calls that complete. One that gives less, again and again, would
	// have us ask for ever.
	minAnswer = 64 << 10
)

func (s *resuming) Read(p []byte) (int, error) {
	for s.off < s.end {
		if err := s.open(); err != nil {
			return 0, err
		}
		n, err := s.body.Read(p[:min(int64(len(p)), s.end-s.off)])
		s.off += int64(n)
		if s.since += int64(n); s.since >= minProgress {
			s.tries = 0
		}
		if err != nil && s.off < s.end {
			if err := s.reopenLater(err); err != nil {
				return n, err
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// open makes sure that there is a body to read from.
func (s *resuming) open() error {
	for s.body == nil {
		body, err := s.b.open(s.ctx, s.off, s.end-s.off)
		if err == nil {
			s.body, s.since, s.asked = body, 0, s.end-s.off
			return nil
		}
		s.tries++
		if err := s.b.r.retry.pause(s.ctx, s.tries, err); err != nil {
			return err
		}
	}
	return nil
}

// reopenLater gives the body up. If it has delivered next to nothing, there
// is a pause, which may end in giving up altogether.
func (s *resuming) reopenLater(err error) error {
	from := clean(s.body.resp.Request.URL.Host)
	s.drop()
	if err == io.EOF && s.since < minAnswer {
		s.shorts++
	} else {
		s.shorts = 0
	}
	if s.since >= minProgress && s.shorts < s.b.r.retry.Attempts {
		return nil
	}
	switch {
	case err == io.EOF:
		err = &answerError{fmt.Sprintf("%s: %d bytes in answer to a request for %d", from, s.since, s.asked)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = &networkError{fmt.Errorf("%s: connection lost after %d of %d bytes", from, s.since, s.asked)}
	default:
		err = s.b.r.broken(s.ctx, err)
	}
	s.tries = max(s.tries+1, s.shorts)
	return s.b.r.retry.pause(s.ctx, s.tries, err)
}

func (s *resuming) drop() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

func (s *resuming) Close() error {
	s.drop()
	return nil
}
