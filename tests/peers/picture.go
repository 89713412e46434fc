package main

import (
	"fmt"
	"html"
	"strings"
)

// Measures of a picture, in pixels.
const (
	labels  = 250 // left of the bars
	longest = 430 // bar
	numbers = 120 // right of it
	thick   = 14  // bar
	pitch   = 20  // from bar to bar
	gap     = 16  // between groups
)

// picture draws the answer as bars: a block for each column, a bar for each
// row. Within a group of a block, lengths are to scale.
func (a *answer) picture(q question) string {
	var b strings.Builder
	y := 10
	for _, c := range a.columns(q) {
		fmt.Fprintf(&b, `<text x="10" y="%d" class="c">%s</text>`+"\n", y+14, html.EscapeString(c.name))
		y += 26
		for _, group := range a.groups() {
			y = a.bars(&b, y, c, group)
		}
		y += gap
	}
	const style = `text{font:12px sans-serif;fill:#222}.c{font-weight:bold;font-size:14px}.g{font-style:italic}` +
		`rect{fill:#9aa7b4}.o{fill:#2b6cb0}` +
		`@media (prefers-color-scheme:dark){text{fill:#ddd}}`
	width := labels + longest + numbers
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n<style>%s</style>\n%s</svg>\n",
		width, y, width, y, style, b.String())
}

// bars draws the rows of a group in one column, and returns where they end.
func (a *answer) bars(b *strings.Builder, y int, c column, group string) int {
	most := 0.0
	for _, r := range a.in(group) {
		if v, ok := r.value(c.name); ok {
			most = max(most, v)
		}
	}
	if most == 0 {
		return y
	}
	if group != "" {
		fmt.Fprintf(b, `<text x="10" y="%d" class="g">%s</text>`+"\n", y+12, html.EscapeString(group))
		y += pitch
	}
	for _, r := range a.in(group) {
		v, ok := r.value(c.name)
		if !ok {
			continue
		}
		class := ""
		if strings.HasPrefix(r.Name, "ocifs") {
			class = ` class="o"`
		}
		length := max(1, int(v/most*longest))
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labels-8, y+11, html.EscapeString(r.Name))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d"%s/>`, labels, y, length, thick, class)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", labels+length+6, y+11, c.unit.format(v))
		y += pitch
	}
	return y
}
