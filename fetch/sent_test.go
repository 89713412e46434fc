package fetch_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

// sent are the requests that a source told of.
type sent struct {
	mu  sync.Mutex
	all []fetch.Request
}

func (s *sent) add(r fetch.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, r)
}

// TestSent tells of each request once, with all its bytes and no secret: those
// for a token, those to a CDN under a signed address, and those that fail.
func TestSent(t *testing.T) {
	reg := Start(t, Options{CDN: true, Auth: Auth{Mode: Bearer, Username: "user", Password: "s3cr3t"}})
	data := noise(small)
	var list sent
	src := open(t, reg.Host+"/a/b:c", fetch.Options{Sent: list.add, Auth: fetch.Auth{Username: "user", Password: "s3cr3t"}, Retry: fetch.Retry{Attempts: 6, MinWait: time.Millisecond}})
	b := openBlob(t, src, reg.PutBlob("", data))
	reg.Use(On(CDN, Times(1, HangUp())), On(CDN, After(1, Times(2, Status(503)))))
	readMany(t, b, data, 3)
	stats := src.Stats()
	if int64(len(list.all)) != stats.Requests || len(list.all) != len(reg.Requests()) {
		t.Errorf("told of %d requests, of %d, where %d came", len(list.all), stats.Requests, len(reg.Requests()))
	}
	var bytes int64
	status := map[int]int{}
	for _, r := range list.all {
		bytes += r.Bytes
		status[r.Status]++
		if (r.Err != "") != (r.Status == 0) || r.Took <= 0 || !strings.HasPrefix(r.URL, "http://127.0.0.1:") {
			t.Errorf("%+v", r)
		}
		text := r.Method + r.URL + r.Err
		for _, seen := range reg.Requests() {
			for _, secret := range []string{seen.Query, seen.Authorization, strings.TrimPrefix(seen.Authorization, "Bearer "), "s3cr3t", "?"} {
				if secret != "" && strings.Contains(text, secret) {
					t.Errorf("%+v has the secret %q", r, secret)
				}
			}
		}
	}
	if bytes != stats.Bytes {
		t.Errorf("%d bytes of %d", bytes, stats.Bytes)
	}
	if status[0] != 1 || status[503] != 2 || status[206] != 3 || status[401] != 1 {
		t.Errorf("%v", status)
	}
}

// TestRetriesCounted counts what was asked for again after a pause.
func TestRetriesCounted(t *testing.T) {
	reg := Start(t, Options{})
	data := noise(small)
	src := open(t, reg.Host+"/a/b:c", fetch.Options{Retry: fetch.Retry{Attempts: 3, MinWait: time.Millisecond}})
	b := openBlob(t, src, reg.PutBlob("", data))
	reg.Use(On(Blob, Times(2, Status(503))))
	readMany(t, b, data, 3)
	if n := src.Stats().Retries; n != 2 {
		t.Errorf("%d retries", n)
	}
	reg.Use(On(Blob, Status(503)))
	if _, err := b.ReadAt(make([]byte, 100), 0); err == nil {
		t.Error("no error")
	}
	if n := src.Stats().Retries; n != 4 { // the last failure is followed by none
		t.Errorf("%d retries", n)
	}
}
