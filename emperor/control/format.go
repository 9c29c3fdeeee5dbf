package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteStatus writes what `emperor status` shows: the emperor, the front, one line per
// vassal. now is what ages are counted to.
func WriteStatus(w io.Writer, s Status, now time.Time) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "emperor %s, pid %d, up %s", s.Version, s.PID, age(s.Since, now))
	if s.Config != "" {
		fmt.Fprintf(&b, ", %s", clean(s.Config))
	}
	b.WriteByte('\n')
	if r := s.Router; r != nil {
		fmt.Fprintf(&b, "router  %s for %s", r.State, age(r.Since, now))
		if r.PID != 0 {
			fmt.Fprintf(&b, ", pid %d", r.PID)
		}
		if r.Restarts > 0 {
			fmt.Fprintf(&b, ", %s", count(r.Restarts, "restart"))
		}
		if len(r.Listeners) > 0 {
			fmt.Fprintf(&b, ", listening on %s", strings.Join(r.Listeners, " "))
		}
		if r.Reason != "" {
			fmt.Fprintf(&b, " (%s)", clean(r.Reason))
		}
		b.WriteByte('\n')
	}
	if len(s.Problems) > 0 {
		b.WriteString("the last edit of the main file has mistakes and was not applied:\n")
		writeIndented(&b, s.Problems)
	}
	b.WriteByte('\n')
	if len(s.Vassals) == 0 {
		b.WriteString("no vassals\n")
	} else {
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "VASSAL\tSTATE\tFOR\tGEN\tPIDS\tRESTARTS\tWHY")
		for _, v := range s.Vassals {
			generation, processes := v.Generation, v.PIDs
			if generation == 0 {
				generation, processes = v.Starting, v.StartingPIDs
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%d\t%s\n", clean(v.Name), v.State, age(v.Since, now),
				generation, pids(processes, 2), v.Restarts, strings.ReplaceAll(remark(v, now), "\t", " "))
		}
		table.Flush()
	}
	_, err := w.Write(trimLines(b.Bytes()))
	return err
}

// remark is the one thing to know of a vassal beside its state.
func remark(v VassalStatus, now time.Time) string {
	var parts []string
	if len(v.Problems) > 0 {
		if v.running() {
			parts = append(parts, "edit refused: "+v.Problems[0])
		} else {
			parts = append(parts, v.Problems[0])
		}
	}
	if v.Reason != "" {
		parts = append(parts, v.Reason)
	}
	if h := v.Health; h != nil && h.Failures >= h.Threshold {
		parts = append(parts, "unhealthy: "+h.text(now))
	}
	if next := retry(v, now); next != "" {
		parts = append(parts, "next try "+next)
	}
	if len(parts) == 0 && v.Folder != "" {
		parts = append(parts, "static: "+v.Folder)
	}
	return clean(strings.Join(parts, "; "))
}

// running tells whether anything runs that an edit leaves alone.
func (v VassalStatus) running() bool { return v.Generation > 0 || v.Starting > 0 }

// retry says when a vassal that waits is tried again, or nothing.
func retry(v VassalStatus, now time.Time) string {
	switch {
	case v.Retry.IsZero():
		return ""
	case v.Retry.After(now):
		return "in " + span(v.Retry.Sub(now))
	}
	return "now"
}

// WriteWhy writes what `emperor why NAME` shows: the state, since when, why, the
// mistakes of the last edit, and the last log lines.
func WriteWhy(w io.Writer, v VassalStatus, now time.Time) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s", clean(v.Name), v.State)
	if !v.Since.IsZero() {
		fmt.Fprintf(&b, " for %s (since %s)", age(v.Since, now), v.Since.Format(time.DateTime))
	}
	if v.Reason != "" {
		fmt.Fprintf(&b, ": %s", clean(v.Reason))
	}
	b.WriteByte('\n')

	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-11s %s\n", what, clean(text))
		}
	}
	line("file", v.File)
	line("kind", withReason(v.Kind, v.KindReason))
	line("folder", v.Folder)
	switch {
	case v.Folder != "":
		line("generation", fmt.Sprintf("%d, without a process", v.Generation))
	case v.Generation == 0 && v.Starting == 0 && v.State == "asleep":
	case v.Generation > 0 || v.Starting == 0:
		line("generation", fmt.Sprintf("%d, pids %s", v.Generation, pids(v.PIDs, 20)))
	}
	if v.Starting > 0 {
		line("starting", fmt.Sprintf("generation %d, pids %s", v.Starting, pids(v.StartingPIDs, 20)))
	}
	if v.Restarts > 0 {
		line("restarts", strconv.Itoa(v.Restarts))
	}
	line("health", v.Health.text(now))
	line("awake", v.Awake)
	line("on demand", v.OnDemand)
	if v.Idle > 0 {
		line("idle", fmt.Sprintf("sleeps after %gs in which nobody wants anything", v.Idle))
	}
	for _, d := range v.Daemons {
		line("daemon", d.text(now))
	}
	for _, c := range v.Crons {
		line("cron", c.text(now))
	}
	if h := v.Hook; h != nil {
		line("hook failed", fmt.Sprintf("%s ago: %s", age(h.At, now), h.How))
	}
	line("next try", retry(v, now))
	if v.Folder == "" {
		line("sockets", strings.Join(v.Sockets, " "))
	} else {
		line("for rules", strings.ReplaceAll(strings.Join(v.Sockets, " "), "static:", ""))
	}
	if !v.Overlap {
		line("overlap", withReason("no", v.OverlapReason))
	}
	if len(v.Problems) > 0 {
		if v.running() {
			b.WriteString("\nthe last edit was not applied; what runs is from before it:\n")
		} else if v.State == "asleep" {
			b.WriteString("\nthe last edit was not applied:\n")
		} else {
			b.WriteString("\nits file cannot be used as it is:\n")
		}
		writeIndented(&b, v.Problems)
	}
	if len(v.Warnings) > 0 {
		b.WriteString("\nin its file, perhaps not meant so:\n")
		writeIndented(&b, v.Warnings)
	}
	rest := v.Log
	if f := v.Failure; f != nil {
		fmt.Fprintf(&b, "\ngeneration %d failed %s ago: %s\n", f.Generation, age(f.At, now), clean(f.How))
		writeLog(&b, f.Log)
		rest = slices.DeleteFunc(slices.Clone(rest), func(l LogLine) bool { return l.Generation == f.Generation })
	}
	if len(rest) > 0 {
		b.WriteString("\nlast lines:\n")
		writeLog(&b, rest)
	}
	_, err := w.Write(trimLines(b.Bytes()))
	return err
}

func writeLog(b *bytes.Buffer, lines []LogLine) {
	for _, l := range lines {
		fmt.Fprintf(b, "  %s\n", logLine(l))
	}
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ", by " + reason
}

// WriteLogLine writes what `emperor logs NAME` shows of one line.
func WriteLogLine(w io.Writer, l LogLine) error {
	_, err := fmt.Fprintln(w, logLine(l))
	return err
}

func logLine(l LogLine) string {
	head := l.Time.Format("2006-01-02 15:04:05.000")
	if l.Generation > 0 {
		head += fmt.Sprintf(" gen %d", l.Generation)
	}
	if l.Stream != "" {
		head += " " + l.Stream
	}
	return strings.TrimRight(head+": "+clean(l.Text), " ")
}

// WriteJSON writes v indented, for --json.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func writeIndented(b *bytes.Buffer, lines []string) {
	for _, l := range lines {
		fmt.Fprintf(b, "  %s\n", clean(l))
	}
}

// pids lists the first few of a vassal's processes.
func pids(list []int, most int) string {
	if len(list) == 0 {
		return "-"
	}
	var words []string
	for i, pid := range list {
		if i == most {
			words = append(words, fmt.Sprintf("+%d", len(list)-most))
			break
		}
		words = append(words, strconv.Itoa(pid))
	}
	return strings.Join(words, " ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// age is the span from a moment to now; "-" if there is no such moment.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return span(now.Sub(since))
}

// span writes a duration in its two largest units, which is what one wants to know.
func span(d time.Duration) string {
	s := int(max(d, 0).Round(time.Second) / time.Second)
	const minute, hour, day = 60, 3600, 86400
	switch {
	case s < minute:
		return fmt.Sprintf("%ds", s)
	case s < hour:
		return fmt.Sprintf("%dm%02ds", s/minute, s%minute)
	case s < day:
		return fmt.Sprintf("%dh%02dm", s/hour, s%hour/minute)
	}
	return fmt.Sprintf("%dd%02dh", s/day, s%day/hour)
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// clean makes text safe for a terminal: a vassal's output may hold sequences that
// rewrite the screen or the window's title. Colours are taken out, other control
// characters shown as their number.
func clean(text string) string {
	text = strings.ToValidUTF8(colours.ReplaceAllString(text, ""), "\uFFFD")
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isControl(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || 0x7f <= r && r < 0xa0 }

// trimLines takes the spaces from the ends of lines that a table leaves there.
func trimLines(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimRight(lines[i], " ")
	}
	return bytes.Join(lines, []byte("\n"))
}
