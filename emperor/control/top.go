package control

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Load is what a vassal uses, by what was measured between two moments.
type Load struct {
	Vassal   string  `json:"vassal"`
	State    string  `json:"state"`
	CPU      float64 `json:"cpu"` // processors
	RSS      int64   `json:"rss"` // bytes
	Process  int     `json:"processes"`
	Requests float64 `json:"requests"` // a second, through the front
	Total    uint64  `json:"total"`    // requests since the router started
}

// Top is one round of `emperor top`.
type Top struct {
	Time    time.Time `json:"time"`
	Router  *Load     `json:"router,omitempty"`
	Vassals []Load    `json:"vassals"` // the busiest first
}

// Sort puts the busiest first: by processor time, then by requests, then by name.
func (t *Top) Sort() {
	slices.SortFunc(t.Vassals, func(a, b Load) int {
		switch {
		case a.CPU != b.CPU:
			return sign(b.CPU - a.CPU)
		case a.Requests != b.Requests:
			return sign(b.Requests - a.Requests)
		}
		return strings.Compare(a.Vassal, b.Vassal)
	})
}

func sign(f float64) int {
	if f < 0 {
		return -1
	}
	return 1
}

// WriteTop writes one round; at most rows lines of vassals (0: all).
func WriteTop(w io.Writer, t Top, rows int) error {
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "CPU%\tRSS\tPROCS\tREQ/S\tREQUESTS\tSTATE\t VASSAL")
	line := func(l Load) {
		fmt.Fprintf(table, "%.1f\t%s\t%d\t%.1f\t%d\t%s\t %s\n", 100*l.CPU, size(l.RSS), l.Process, l.Requests, l.Total, l.State, clean(l.Vassal))
	}
	if t.Router != nil {
		line(*t.Router)
	}
	for i, l := range t.Vassals {
		if rows > 0 && i == rows {
			break
		}
		line(l)
	}
	table.Flush()
	_, err := w.Write(trimLines(b.Bytes()))
	return err
}

// size is a number of bytes in the unit that leaves two to four digits.
func size(n int64) string {
	for _, unit := range []string{"B", "K", "M", "G"} {
		if n < 10000 || unit == "G" {
			return fmt.Sprintf("%d%s", n, unit)
		}
		n /= 1024
	}
	return ""
}
