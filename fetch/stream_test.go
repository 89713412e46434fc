package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"ocifs.dev/ocifs/fetch"
	. "ocifs.dev/ocifs/tests/registrytest"
)

const (
	fullPiece = 4 << 20 // what one request of a long stream asks for
	piece     = 1 << 18 // what it does in these tests
	large     = 5*piece + 12345
)

// stream opens a registry of which streams come in small pieces.
func stream(t testing.TB, reg *Server, o fetch.Options) *fetch.Source {
	t.Helper()
	s := open(t, reg.Host+"/a/b:c", o)
	s.Pieces(piece)
	return s
}

// TestRange streams blobs whole and in part, through faults, and counts the
// requests: one for each piece, and one more for each time a piece is cut.
func TestRange(t *testing.T) {
	data := noise(large)
	for _, c := range []struct {
		name   string
		fault  Fault
		off, n int64
		err    error
		blob   int
	}{
		{"a short range", nil, 100, 1000, nil, 1},
		{"one piece", nil, 1, piece, nil, 1},
		{"one byte more", nil, 1, piece + 1, nil, 2},
		{"all", nil, 0, large, nil, 6},
		{"beyond the end", nil, piece, 1 << 62, nil, 5},
		{"nothing", nil, 100, 0, nil, 0},
		{"nothing at the end", nil, large, 1, nil, 0},
		{"each answer is cut", Cut(96 << 10), 0, 2 * piece, nil, 6},
		{"short is not the end", Times(1, Short(5000)), 0, 20_000, nil, 2},
		{"some 503", Times(3, Status(503)), 0, 2 * piece, nil, 5}, // Attempts allow two for the first piece
		{"range ignored", IgnoreRange(), piece, 2 * piece, nil, 1},
		{"range ignored, cut", All(Times(1, Cut(piece+5000)), IgnoreRange()), 0, 2 * piece, nil, 2},
		{"range ignored later", After(1, IgnoreRange()), 0, large, nil, -1},
		{"gone", Status(404), 0, large, fetch.ErrNotFound, 1},
		{"gone later", After(2, Status(404)), 0, large, fetch.ErrNotFound, -1},
		{"down", Status(503), 0, large, fetch.ErrUnreachable, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := Start(t, Options{})
			d := reg.PutBlob("", data)
			if c.fault != nil {
				reg.Use(c.fault)
			}
			retry := impatient
			if c.name == "some 503" {
				retry.Attempts = 4
			}
			b := openBlob(t, stream(t, reg, fetch.Options{Retry: retry}), d)
			r := b.Range(c.off, c.n)
			defer r.Close()
			got, err := io.ReadAll(r)
			checkErr(t, err, c.err)
			want := data[c.off:min(c.off+c.n, large)]
			if err == nil && !bytes.Equal(got, want) || !bytes.HasPrefix(want, got) {
				t.Errorf("wrong bytes, %d of %d", len(got), len(want))
			}
			switch {
			case c.blob == 0:
				expect(t, reg, nil)
			case c.blob > 0:
				requests := map[Kind]int{Blob: c.blob}
				if c.err == fetch.ErrNotFound {
					requests[Manifest] = 1 // see remote.open
				}
				expect(t, reg, requests)
			}
		})
	}
}

// TestRangeIgnored streams a blob from a server that ignores ranges: what
// goes over the wire is the blob once, also in the next stream.
func TestRangeIgnored(t *testing.T) {
	data := noise(large)
	reg := Start(t, Options{})
	d := reg.PutBlob("", data)
	reg.Use(IgnoreRange())
	s := stream(t, reg, fetch.Options{})
	b := openBlob(t, s, d)
	for range 2 {
		readAll(t, b, data)
	}
	expect(t, reg, map[Kind]int{Blob: 2})
	if n := s.Stats().Bytes; n != 2*large {
		t.Errorf("%d bytes fetched, want %d", n, 2*large)
	}
	reg.Heal() // the next request is answered by a range again, and noticed
	if _, err := b.ReadAt(make([]byte, 10), 10); err != nil {
		t.Fatal(err)
	}
	reg.Reset()
	readAll(t, b, data)
	expect(t, reg, map[Kind]int{Blob: 6})
}

func readAll(t *testing.T, b *fetch.Blob, want []byte) {
	t.Helper()
	r := b.Range(0, b.Size())
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, error %v", len(got), err)
	}
}

// TestRangeIsReader reads a stream in all the ways there are, and counts the
// requests for its pieces, which are of full size here.
func TestRangeIsReader(t *testing.T) {
	data := noise(2*fullPiece + 100)
	reg := Start(t, Options{CDN: true})
	b := openBlob(t, open(t, reg.Host+"/a/b:c", fetch.Options{}), reg.PutBlob("", data))
	for _, n := range []int64{1000, int64(len(data))} {
		r := b.Range(0, n)
		if err := iotest.TestReader(iotest.OneByteReader(io.LimitReader(r, 10)), data[:10]); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(iotest.HalfReader(r))
		if err != nil || !bytes.Equal(got, data[10:n]) {
			t.Errorf("%d bytes, error %v", len(got), err)
		}
		r.Close()
	}
	if n := reg.Count(CDN); n != 1+3 {
		t.Errorf("%d requests for pieces", n)
	}
}

// TestRangeClosed leaves streams before their end: their requests end too.
func TestRangeClosed(t *testing.T) {
	data := noise(large)
	reg := Start(t, Options{})
	d := reg.PutBlob("", data)
	reg.Use(Stall(96 << 10))
	for _, n := range []int64{1000, 100 << 10, large} {
		b := openBlob(t, stream(t, reg, fetch.Options{}), d)
		r := b.Range(0, n)
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n > 1000 {
			if _, err := io.Copy(io.Discard, r); err == nil {
				t.Error("no error after Close")
			}
		}
	}
}

// TestRangeClosedReading closes streams while another goroutine reads them: it
// gets an error, and there is no race.
func TestRangeClosedReading(t *testing.T) {
	reg := Start(t, Options{})
	d := reg.PutBlob("", noise(large))
	for _, fault := range []Fault{Stall(100), Latency(time.Hour)} {
		for _, n := range []int64{1000, large} {
			arrival, arrived := arrives()
			reg.Heal()
			reg.Use(arrival, fault)
			r := openBlob(t, stream(t, reg, fetch.Options{}), d).Range(0, n)
			failed := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, r)
				failed <- err
			}()
			<-arrived
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

// TestRangeBlobClosed ends a stream by closing its blob.
func TestRangeBlobClosed(t *testing.T) {
	reg := Start(t, Options{})
	d := reg.PutBlob("", noise(large))
	arrival, arrived := arrives()
	reg.Use(arrival, Stall(96<<10))
	b := openBlob(t, stream(t, reg, fetch.Options{}), d)
	r := b.Range(0, large)
	defer r.Close()
	go func() {
		<-arrived
		b.Close()
	}()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestManyStreams reads several blobs at a time.
func TestManyStreams(t *testing.T) {
	data := noise(large)
	reg := Start(t, Options{CDN: true, Auth: Auth{Mode: Bearer, Uses: 2}})
	d := reg.PutBlob("", data)
	s := stream(t, reg, fetch.Options{})
	concurrently(t, 4, func(int) error {
		b, err := s.Blob(context.Background(), ocispec.Descriptor{Digest: d.Digest, Size: d.Size})
		if err != nil {
			return err
		}
		defer b.Close()
		r := b.Range(0, b.Size())
		defer r.Close()
		got, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(got, data) {
			err = errors.New("wrong bytes")
		}
		return err
	})
	noAuthorization(t, reg)
}

// TestWhole asks for a blob of many pieces once, and for the rest of it where the
// answer breaks off.
func TestWhole(t *testing.T) {
	data := noise(large)
	for name, c := range map[string]struct {
		fault    Fault
		requests int
	}{
		"at once":  {nil, 1},
		"cut once": {Times(1, Cut(96<<10)), 2},
	} {
		t.Run(name, func(t *testing.T) {
			reg := Start(t, Options{})
			d := reg.PutBlob("", data)
			if c.fault != nil {
				reg.Use(c.fault)
			}
			b := openBlob(t, stream(t, reg, fetch.Options{Retry: impatient}), d)
			r := b.Whole()
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			expect(t, reg, map[Kind]int{Blob: c.requests})
		})
	}
}
