package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// print tells all there is to know of a mount, a line each; what isn't known is
// left out.
func (m *liveMount) print(out io.Writer, now time.Time) {
	fmt.Fprintf(out, "%s  %s\n", quote(m.Mountpoint), m.health())
	line := func(key, format string, v ...any) {
		fmt.Fprintf(out, "  %-9s %s\n", key, fmt.Sprintf(format, v...))
	}
	line("image", "%s", quote(m.Ref))
	if m.State == stateUnknown {
		return
	}
	line("digest", "%s", m.Digest)
	line("what", "%s, %s, %s; lazy %s", m.Platform, count(len(m.Layers), "layer"), bytesOf(m.Size), m.lazy())
	if m.Face != "" {
		line("face", "%s", m.Face)
	}
	if m.NoEROFS != "" {
		line("no erofs", "%s", quote(m.NoEROFS))
	}
	if m.Signed != "" {
		line("signed", "%s", m.Signed)
	}
	if m.Bundle != "" {
		line("bundle", "%s", quote(m.Bundle))
	}
	line("id", "%s", m.ID)
	line("process", "%d, up %s, since %s", m.PID, duration(now.Sub(m.Started)), m.Started.Local().Format("2006-01-02 15:04:05 -0700"))
	line("cache", "%s", quote(m.CacheDir))
	switch m.Log {
	case "":
		line("log", "none but its standard error")
	case logJournal:
		line("log", "the journal: journalctl _PID=%d", m.PID)
	default:
		line("log", "%s", quote(m.Log))
	}
	if m.Vitals != nil {
		line("socket", "%s", quote(m.Socket))
		m.Vitals.print(line, now)
	}
}

func (v *vitals) print(line func(key, format string, v ...any), now time.Time) {
	line("fetched", "%s in %s; %s tried again, %d failed", bytesOf(v.Fetched), count(int(v.Requests), "request"), plural(int(v.Retries), "was", "were"), v.FailedFetches)
	line("read", "%s in %s; %d failed", bytesOf(v.Read), count(int(v.Ops["read"]), "request"), v.FailedReads)
	line("cached", "%s of what was read were there, %s were not; %s dropped, %s not kept", bytesOf(v.Cache.Hit), bytesOf(v.Cache.Miss), bytesOf(v.Cache.Evicted), bytesOf(v.Cache.Unkept))
	if n := v.Cache.Damaged + v.Mismatches; n > 0 {
		line("wrong", "%d of the cache and %d of the registry did not verify", v.Cache.Damaged, v.Mismatches)
	}
	var errs []string
	for _, name := range slices.Sorted(maps.Keys(v.Errors)) {
		errs = append(errs, fmt.Sprintf("%s %d", name, v.Errors[name]))
	}
	if errs != nil {
		line("errors", "%s", strings.Join(errs, ", "))
	}
	for _, t := range v.Trouble {
		line("trouble", "%s", t)
	}
	if e := v.LastError; e != nil {
		line("last", "%s ago: %s", duration(max(0, now.Sub(e.Time))), e.Text)
	}
}
