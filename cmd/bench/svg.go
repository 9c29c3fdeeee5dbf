package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chart is a picture of bars, one for each front, with whiskers from the least
// to the greatest value.
type chart struct {
	file  string // name in the folder, without its ending
	title string
	unit  string
	bars  []bar
}

type bar struct {
	label  string
	value  spread
	ours   bool
	weaker bool // drawn paler: the same program in another form
}

// varies tells whether there was more than one measurement.
func (b bar) varies() bool { return b.value.Least < b.value.Greatest }

// Sizes in pixels. The width suits a page on a code host.
const (
	chartWidth  = 760
	labelWidth  = 190
	figureWidth = 110
	rowHeight   = 26
	titleHeight = 44
)

// chartStyle makes a chart readable on light and on dark pages: the background
// is left to the page.
const chartStyle = `
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600 }
    .unit, .figure { fill: #59636e }
    .ours { fill: #7b2cbf } .other { fill: #8c959f } .weaker { opacity: .6 }
    .whisker { stroke: #1f2328; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .unit, .figure { fill: #9198a1 }
      .ours { fill: #b983ff } .other { fill: #656c76 }
      .whisker { stroke: #e6edf3 }
    }
  `

// svg draws the chart.
func (c chart) svg() string {
	greatest := 0.0
	for _, b := range c.bars {
		greatest = max(greatest, b.value.Greatest)
	}
	if greatest == 0 {
		greatest = 1
	}
	scale := func(v float64) float64 { return v / greatest * (chartWidth - labelWidth - figureWidth) }
	height := titleHeight + rowHeight*len(c.bars) + 8
	var out strings.Builder
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">\n",
		chartWidth, height, chartWidth, height, html.EscapeString(c.title))
	fmt.Fprintf(&out, "  <style>%s</style>\n", chartStyle)
	fmt.Fprintf(&out, "  <text class=\"title\" x=\"0\" y=\"16\">%s</text>\n", html.EscapeString(c.title))
	unit := c.unit
	if slices.ContainsFunc(c.bars, bar.varies) {
		unit += "; median, with least and greatest"
	}
	fmt.Fprintf(&out, "  <text class=\"unit\" x=\"0\" y=\"34\">%s</text>\n", html.EscapeString(unit))
	for i, b := range c.bars {
		top := titleHeight + rowHeight*i
		middle := float64(top) + rowHeight/2
		class := "other"
		if b.ours {
			class = "ours"
		}
		if b.weaker {
			class += " weaker"
		}
		fmt.Fprintf(&out, "  <text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n", labelWidth-8, middle+5, html.EscapeString(b.label))
		fmt.Fprintf(&out, "  <rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n", class, labelWidth, top+4, scale(b.value.Median), rowHeight-8)
		from, to := labelWidth+scale(b.value.Least), labelWidth+scale(b.value.Greatest)
		if b.varies() {
			fmt.Fprintf(&out, "  <path class=\"whisker\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\"/>\n", from, middle, to, from, middle-4, to, middle-4)
		}
		fmt.Fprintf(&out, "  <text class=\"figure\" x=\"%.1f\" y=\"%.0f\">%s</text>\n", to+8, middle+5, figure(b.value.Median))
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// figure writes a number with three digits that count and separated thousands.
func figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) < 10:
		return fmt.Sprintf("%.2f", v)
	case math.Abs(v) < 100:
		return fmt.Sprintf("%.1f", v)
	}
	text := fmt.Sprintf("%.0f", v)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// write puts the chart into a folder.
func (c chart) write(dir string) error {
	return os.WriteFile(filepath.Join(dir, c.file+".svg"), []byte(c.svg()), 0o644)
}
