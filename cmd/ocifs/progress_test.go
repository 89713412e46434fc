package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"ocifs.dev/ocifs/fs/export"
	"ocifs.dev/ocifs/fs/tree"
	lt "ocifs.dev/ocifs/tests/layertest"
)

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// TestFrame draws the progress in words.
func TestFrame(t *testing.T) {
	const mib = 1 << 20
	steps := []step{
		{}, // known: takes no steps
		{Layer: 1, Layers: 5, Digest: digestA, Done: 50 * mib, Total: 200 * mib},
		{Layer: 2, Layers: 5, Digest: digestA, Done: 900, Total: 10 * mib},
		{Layer: 3, Layers: 5, Digest: digestA, Done: 14 * mib, Total: 14 * mib, Ready: true},
		{Layer: 4, Layers: 5, Digest: digestA, Done: 3 << 30, Total: 0},
	}
	for _, c := range []struct {
		steps         []step
		elapsed       time.Duration
		width, height int
		want          string
	}{
		{steps[:4], 10 * time.Second, 80, 24, `
layer 2/5 sha256:aaaaaaaaaaaa  [=====               ]  50.0 of 200.0 MiB
layer 3/5 sha256:aaaaaaaaaaaa  [                    ]  900 B of 10.0 MiB
1 of 3 layers indexed, 64.0 of 224.0 MiB, 6.4 MiB/s, 25s left`},
		{steps[4:], 500 * time.Millisecond, 80, 24, `
layer 5/5 sha256:aaaaaaaaaaaa  [====================]  3.0 GiB
0 of 1 layer indexed, 3.0 GiB`},
		{steps, 2 * time.Hour, 20, 3, `
layer 2/5 sha256:aaa
layer 3/5 sha256:aaa
1 of 4 layers indexe`},
		{steps, time.Second, 40, 1, `
1 of 4 layers indexed, 3.1 GiB of 224.0 `},
		{steps[:2], time.Minute, 200, 24, `
layer 2/5 sha256:aaaaaaaaaaaa  [=====               ]  50.0 of 200.0 MiB
0 of 1 layer indexed, 50.0 of 200.0 MiB, 853.3 KiB/s, 3m0s left`},
	} {
		got := strings.Join(frame(c.steps, c.elapsed, c.width, c.height), "\n")
		if want := strings.TrimPrefix(c.want, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// TestCopying shows how far a copy is, on a terminal, and nothing elsewhere.
func TestCopying(t *testing.T) {
	w := newWorld(t)
	lt.WriteLayout(t, w.in("layout"), lt.Image{Tag: "t", Layers: []lt.Layer{lt.GzipLayer(lt.Tar(
		lt.File("a", prose(3<<20, 1)), lt.Hardlink("b", "a"), lt.File("c", prose(1<<20, 2)), lt.Dir("d"),
	))}})
	img, err := openImage(t.Context(), imageSpec{Ref: w.ref, CacheDir: w.in("cache")}, silent())
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	items := []export.Item{{Node: tree.Root}}
	for _, show := range []bool{true, false} {
		s := newScreen(show)
		src := (&ui{progress: s.progress}).copying("copying", img, items)
		for name, n := range img.Tree().All(tree.Root) {
			if name == "b" || !isRegular(img.Tree(), n) {
				continue
			}
			s.at = s.at.Add(time.Second)
			for off := int64(0); off < img.Tree().Attr(n).Size; off += 1 << 20 {
				if _, err := src.ReadAt(n, make([]byte, 1<<20), off); err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
		}
		s.at = s.at.Add(time.Second)
		src.ReadAt(tree.Root+1, nil, 0)
		if out := s.out.String(); show != strings.Contains(out, "copying  [====================]  4.0 of \n4.0 of 4.0 MiB, ") || !show && out != "" {
			t.Errorf("show %v: %q", show, out)
		}
	}
}

// A screen is a progress whose clock the test turns.
type screen struct {
	*progress
	out strings.Builder
	at  time.Time
}

func newScreen(show bool) *screen {
	s := &screen{at: time.Unix(1000, 0)}
	s.progress = &progress{
		w: &s.out, show: show, now: func() time.Time { return s.at },
		size: func() (int, int) { return 40, 10 },
	}
	return s
}

// after turns the clock and takes a step of the only layer.
func (s *screen) after(d time.Duration, done int64) {
	s.at = s.at.Add(d)
	s.step(step{Layers: 1, Digest: "d", Done: done, Total: 1000, Ready: done == 1000})
}

// TestProgress follows what is written to a terminal: nothing for what is
// quick, frames at most every so often, messages above them, and in the end
// nothing.
func TestProgress(t *testing.T) {
	s := newScreen(true)
	s.after(0, 0)
	s.after(firstFrame-1, 100)
	if s.out.String() != "" {
		t.Errorf("too early: %q", s.out.String())
	}
	s.after(1, 500)
	s.after(frameEvery-1, 600) // too soon
	s.Write([]byte("ocifs: warning: odd\n"))
	s.after(1, 700) // at once: the message took the frame away
	s.after(1, 1000)
	s.after(frameEvery, 1000)
	s.stop()
	s.Write([]byte("done\n"))
	const wipe2, wipe1 = "\x1b[2A\r\x1b[J", "\x1b[1A\r\x1b[J"
	want := "layer 1/1 d  [==========          ]  500\n" + "0 of 1 layer indexed, 500 of 1000 B\n" +
		wipe2 + "ocifs: warning: odd\n" +
		"layer 1/1 d  [==============      ]  700\n" + "0 of 1 layer indexed, 700 of 1000 B\n" +
		wipe2 + "1 of 1 layer indexed, 1000 of 1000 B\n" +
		wipe1 + "done\n"
	if got := s.out.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestProgressQuiet writes nothing but messages where no terminal is.
func TestProgressQuiet(t *testing.T) {
	s := newScreen(false)
	for range 100 {
		s.after(time.Second, 10)
	}
	s.Write([]byte("x\n"))
	s.stop()
	if s.out.String() != "x\n" {
		t.Errorf("%q", s.out.String())
	}
}

// TestProgressLies takes steps that make no sense, as from a daemon gone mad.
func TestProgressLies(t *testing.T) {
	s := newScreen(true)
	for _, p := range []step{
		{}, {Layer: -1, Layers: 1}, {Layer: 1, Layers: 1}, {Layer: 1 << 40, Layers: 1 << 41}, {Layers: -1},
		{Layers: 1, Done: -5, Total: 10}, {Layers: 1, Done: 50, Total: 10}, {Layers: 1, Done: 1, Total: -1},
		{Layers: 1, Done: 1<<63 - 1, Total: 1<<63 - 1},
	} {
		s.at = s.at.Add(time.Second)
		s.step(p)
	}
	s.stop()
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64][2]string{
		0: {"0 B", "0"}, 1023: {"1023 B", "1023"}, 1024: {"1.0 KiB", "1.0K"}, 1025: {"1.0 KiB", "1.1K"},
		10 << 10: {"10.0 KiB", "10K"}, 1<<20 - 1: {"1.0 MiB", "1.0M"}, 42 << 20: {"42.0 MiB", "42M"},
		1 << 40: {"1.0 TiB", "1.0T"}, 1<<63 - 1: {"8.0 EiB", "8.0E"},
	} {
		if got := [2]string{bytesOf(n), shortBytes(n)}; got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", 3*time.Hour + 4*time.Minute: "3h4m", 50 * time.Hour: "2d2h",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
