package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A link is a way to the registry; the zero value is the loopback interface
// as it is.
type link struct {
	rtt  time.Duration
	bits float64 // per second; 0: no limit
}

func (l link) String() string {
	if l == (link{}) {
		return "loopback"
	}
	rate := "no limit"
	switch {
	case l.bits >= 1e9:
		rate = fmt.Sprintf("%g Gbit/s", l.bits/1e9)
	case l.bits > 0:
		rate = fmt.Sprintf("%g Mbit/s", l.bits/1e6)
	}
	return fmt.Sprintf("%d ms, %s", l.rtt.Milliseconds(), rate)
}

// transfer is how long n bytes take at the link's bandwidth.
func (l link) transfer(n int64) time.Duration {
	if l.bits == 0 {
		return 0
	}
	return time.Duration(float64(n) * 8 / l.bits * float64(time.Second))
}

// parseLinks reads 20ms/1Gbit,100ms/100Mbit,0/0.
func parseLinks(list string) ([]link, error) {
	var links []link
	for text := range strings.SplitSeq(list, ",") {
		l, err := parseLink(text)
		if err != nil {
			return nil, fmt.Errorf("link %q: %w", text, err)
		}
		links = append(links, l)
	}
	return links, nil
}

func parseLink(text string) (l link, err error) {
	rtt, rate, ok := strings.Cut(text, "/")
	if !ok {
		return l, fmt.Errorf("it is RTT/BANDWIDTH, as in 20ms/1Gbit")
	}
	if l.rtt, err = time.ParseDuration(rtt); err != nil || l.rtt < 0 {
		return l, fmt.Errorf("%q is no round-trip time, as 20ms is", rtt)
	}
	number, unit := rate, 1.0
	for suffix, u := range map[string]float64{"Mbit": 1e6, "Gbit": 1e9} {
		if n, ok := strings.CutSuffix(rate, suffix); ok {
			number, unit = n, u
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0 && n < 1e6) {
		return l, fmt.Errorf("%q is no bandwidth, as 1Gbit and 100Mbit are", rate)
	}
	l.bits = n * unit
	return l, nil
}
