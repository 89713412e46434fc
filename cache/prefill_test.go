package cache

import (
	"errors"
	"os"
	"slices"
	"testing"
)

// TestPrefill makes what is missing, once, and nobody else makes it.
func TestPrefill(t *testing.T) {
	noLeaks(t)
	c := uniform(20, 1000, 1)
	m, want := &maker{t: c}, whole(c)
	sp := space(t, open(t, t.TempDir(), 0), "k", c, m.fill)
	expect(t, sp, want, 4500, 600) // chunks 4 and 5
	m.calls()
	sp.Prefill(2999, 4001) // 2 to 6
	sp.flights.Wait()
	got := m.calls()
	slices.SortFunc(got, func(a, b run) int { return a.first - b.first })
	if !slices.Equal(got, []run{{2, 4}, {6, 7}}) {
		t.Errorf("filled %v", got)
	}
	expect(t, sp, want, 2000, 5000)
	if got := m.calls(); got != nil {
		t.Errorf("filled again: %v", got)
	}
	sp.Prefill(18_500, 1<<40) // to the end, beyond which is nothing
	sp.Prefill(19_999, 1)
	sp.Prefill(-1, 10)
	sp.Prefill(0, 0)
	sp.flights.Wait()
	if got := m.calls(); !slices.Equal(got, []run{{18, 20}}) {
		t.Errorf("filled %v", got)
	}
	sp.Close()
	sp.Prefill(0, 1000)
	if got := m.calls(); got != nil {
		t.Errorf("filled when closed: %v", got)
	}
}

// TestPrefillMeanwhile has a reader wait for what is under way, and get its
// error, or its bytes.
func TestPrefillMeanwhile(t *testing.T) {
	noLeaks(t)
	c := uniform(4, 1000, 0)
	m, want := &maker{t: c}, whole(c)
	begun, goOn := make(chan struct{}), make(chan struct{})
	sp := space(t, open(t, t.TempDir(), 0), "k", c, func(first, last int, put func(int, []byte) error) error {
		close(begun)
		<-goOn
		return m.fill(first, last, put)
	})
	sp.Prefill(0, 4000)
	<-begun
	read := make(chan error)
	go func() {
		p := make([]byte, 1000)
		_, err := sp.ReadAt(p, 2000)
		if err == nil && string(p) != string(want[2000:3000]) {
			err = errors.New("wrong bytes")
		}
		read <- err
	}()
	close(goOn)
	if err := <-read; err != nil {
		t.Error(err)
	}
	sp.flights.Wait()
	if got := m.calls(); !slices.Equal(got, []run{{0, 4}}) {
		t.Errorf("filled %v", got)
	}
}

// TestReadBegan tells reads that had something filled from others.
func TestReadBegan(t *testing.T) {
	c := uniform(4, 1000, 0)
	m := &maker{t: c}
	sp := space(t, open(t, t.TempDir(), 0), "k", c, m.fill)
	for _, want := range []bool{true, false} {
		if n, began, err := sp.Read(make([]byte, 1500), 1000); n != 1500 || began != want || err != nil {
			t.Errorf("read %d bytes, began %v, %v; want 1500, %v", n, began, err, want)
		}
		sp.flights.Wait()
	}
}

// TestReadJoins has a reader find a chunk made, after it has looked for it, and
// wait for the next one, which somebody else makes: it has begun nothing.
func TestReadJoins(t *testing.T) {
	c := uniform(4, 1000, 0)
	m := &maker{t: c}
	goOn := make(chan struct{})
	sp := space(t, open(t, t.TempDir(), 0), "k", c, func(first, last int, put func(int, []byte) error) error {
		if first > 0 {
			<-goOn
		}
		return m.fill(first, last, put)
	})
	expect(t, sp, whole(c), 0, 1000)
	sp.flights.Wait()
	sp.Prefill(1000, 1000)
	w := &want{p: make([]byte, 2000)}
	settled := make(chan error)
	go func() { settled <- sp.demand(w, []run{{0, 2}}) }()
	close(goOn)
	if err := <-settled; err != nil || w.began() {
		t.Errorf("began %v, %v", w.began(), err)
	}
}

// TestPrefillUnkept makes nothing where nothing is kept.
func TestPrefillUnkept(t *testing.T) {
	dir := t.TempDir()
	c := uniform(4, 1000, 0)
	m := &maker{t: c}
	s := open(t, dir, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	sp := space(t, s, "k", c, m.fill)
	if sp.onDisk() {
		t.Skip("the store could be made again")
	}
	sp.Prefill(0, 4000)
	sp.flights.Wait()
	if got := m.calls(); got != nil {
		t.Errorf("filled %v", got)
	}
}
