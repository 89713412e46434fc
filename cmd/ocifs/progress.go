package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// A step is how far the indexing of one layer has come. A daemon sends it to
// its parent as JSON.
type step struct {
	Layer  int    `json:"layer"`  // from 0, base first
	Layers int    `json:"layers"` // how many there are
	Digest string `json:"digest"`
	Done   int64  `json:"done"` // bytes of the blob
	Total  int64  `json:"total"`
	Ready  bool   `json:"ready,omitempty"`
	Label  string `json:"label,omitempty"` // of something else than indexing a layer
}

const (
	frameEvery = 100 * time.Millisecond // how often a terminal is redrawn
	firstFrame = 300 * time.Millisecond // what is ready by then needs no progress
	barWidth   = 20
)

// progress shows on a terminal how far layers are: a line for each layer that
// is being indexed, and one for all. It is the terminal's writer, too: what
// is written through it stands above the progress. Without a terminal it only
// passes on what is written. Safe for concurrent use.
type progress struct {
	w    io.Writer
	show bool
	size func() (width, height int)
	now  func() time.Time

	mu    sync.Mutex // guards all below, and the order on w
	start time.Time  // of the first step; zero before it
	last  time.Time  // of the last frame
	steps []step     // by layer; zero: not heard of
	drawn int        // lines of the last frame, still on the screen
}

func newProgress(f *os.File, show bool) *progress {
	size := func() (int, int) {
		w, h, err := term.GetSize(int(f.Fd()))
		if err != nil || w < 1 || h < 1 {
			return 80, 24
		}
		return w, h
	}
	return &progress{w: f, show: show, size: size, now: time.Now}
}

// Write prints p above the progress.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	n, err := p.w.Write(b)
	if bytes.HasSuffix(b, []byte("\n")) && len(p.steps) > 0 && p.show {
		p.last = time.Time{} // draw again with the next step
	}
	return n, err
}

// step takes in a step and redraws, if that is due.
func (p *progress) step(s step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.show || s.Layers <= 0 || s.Layer < 0 || s.Layer >= s.Layers || s.Layers > 1<<16 {
		return
	}
	now := p.now()
	if p.start.IsZero() {
		p.start = now
	}
	if len(p.steps) < s.Layers {
		p.steps = append(p.steps, make([]step, s.Layers-len(p.steps))...)
	}
	p.steps[s.Layer] = s
	if now.Sub(p.start) < firstFrame || now.Sub(p.last) < frameEvery {
		return
	}
	p.last = now
	p.draw(now)
}

// stop wipes the progress; what is written later stays as it is.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	p.steps, p.start = nil, time.Time{}
}

func (p *progress) draw(now time.Time) {
	width, height := p.size()
	lines := frame(p.steps, now.Sub(p.start), width, height-1)
	p.wipe()
	io.WriteString(p.w, strings.Join(lines, "\n")+"\n")
	p.drawn = len(lines)
}

// wipe removes the last frame: up to its first line, and clear from there on.
func (p *progress) wipe() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\r\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// frame is what the progress looks like: at most height lines, none longer
// than width.
func frame(steps []step, elapsed time.Duration, width, height int) []string {
	var lines []string
	var done, total int64
	seen, ready, other := 0, 0, false // layers whose index is there already take no steps
	for _, s := range steps {
		if s.Layers == 0 {
			continue
		}
		seen, done, total, other = seen+1, done+s.Done, total+s.Total, s.Label != ""
		if s.Ready {
			ready++
		} else if len(lines) < height-1 {
			label := cmp.Or(s.Label, fmt.Sprintf("layer %d/%d %s", s.Layer+1, s.Layers, shortDigest(s.Digest)))
			lines = append(lines, label+"  "+bar(s.Done, s.Total)+"  "+amount(s.Done, s.Total))
		}
	}
	all := fmt.Sprintf("%d of %s indexed, %s", ready, count(seen, "layer"), amount(done, total))
	if other {
		all = amount(done, total)
	}
	if sec := elapsed.Seconds(); sec >= 1 && done > 0 {
		rate := float64(done) / sec
		all += fmt.Sprintf(", %s/s", bytesOf(int64(rate)))
		if left := time.Duration(float64(total-done) / rate * float64(time.Second)); left >= time.Second {
			all += fmt.Sprintf(", %s left", duration(left))
		}
	}
	lines = append(lines, all)
	for i, l := range lines {
		lines[i] = clip(l, width)
	}
	return lines
}

// bar is a bar of barWidth.
func bar(done, total int64) string {
	n := barWidth
	if total > 0 {
		n = int(min(max(done, 0), total) * barWidth / total)
	}
	return "[" + strings.Repeat("=", n) + strings.Repeat(" ", barWidth-n) + "]"
}

// amount is "41.2 of 364.1 MiB", or the first part if there is no second.
func amount(done, total int64) string {
	if total <= 0 {
		return bytesOf(done)
	}
	d, t := bytesOf(done), bytesOf(total)
	if n, unit, _ := strings.Cut(d, " "); strings.HasSuffix(t, " "+unit) {
		d = n
	}
	return d + " of " + t
}

// clip cuts a line to width columns.
func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(width, 0)])
}

// duration is a time span for a human: 3m12s, 2d4h.
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
