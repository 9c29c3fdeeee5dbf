package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"emperor/emperor"
	"emperor/internal/config"
	"emperor/vassal/spec"
)

// write is the report for people: what is wrong, then what there is.
func (r *checkReport) write(out io.Writer) {
	fmt.Fprint(out, r.problems)
	if r.main == nil {
		return
	}
	if len(r.problems) > 0 {
		fmt.Fprintln(out)
	}
	r.writeVassals(out)
	r.writeEach(out, "who they run as, and what they may use", func(one *emperor.Surveyed) []string {
		return one.Spec.Protections(one.Config, r.running)
	})
	r.writeEach(out, "what runs beside them", func(one *emperor.Surveyed) []string { return one.Spec.Beside(time.Now()) })
	r.writeRules(out)
	if len(r.notes) > 0 {
		fmt.Fprintln(out, "\nnotes")
		for _, note := range r.notes {
			fmt.Fprintln(out, "  "+note)
		}
	}
	if len(r.problems.Errors()) == 0 {
		fmt.Fprint(out, "\nno mistakes")
		if n := len(r.problems); n > 0 {
			fmt.Fprintf(out, ", %d %s", n, plural(n, "warning"))
		}
		fmt.Fprintln(out)
	}
}

func (r *checkReport) writeVassals(out io.Writer) {
	vassals := r.survey.Vassals
	switch {
	case r.main.App != nil:
		fmt.Fprintln(out, "one app: there is no emperor line, and a line that names an app")
	case len(r.main.Monitor.Patterns) == 0:
		fmt.Fprintln(out, "the front alone: there is no emperor line, and no line that names an app")
	default:
		fmt.Fprintf(out, "%d %s\n", len(vassals), plural(len(vassals), "vassal"))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range vassals {
		one := &vassals[i]
		switch {
		case one.Spec == nil:
			fmt.Fprintf(w, "  %s\twould not start: see %s\n", one.Name, firstMistake(one))
			continue
		case !one.Starts():
			fmt.Fprintf(w, "  %s\twould fail: see %s\t%s\n", one.Name, firstMistake(one), sockets(one))
			continue
		}
		overlap := "overlap: yes"
		if !one.Spec.Overlap {
			overlap = "overlap: no (" + one.Spec.OverlapReason + ")"
		}
		fmt.Fprintf(w, "  %s\t%s: %s\t%s\t%s%s\n", one.Name, one.Spec.Kind, one.Spec.KindReason, sockets(one), overlap, rests(one.Spec.Sleep))
	}
	_ = w.Flush()
}

// writeEach writes what there is to say of each vassal, under the title if there is
// anything.
func (r *checkReport) writeEach(out io.Writer, title string, of func(*emperor.Surveyed) []string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	title = "\n" + title + "\n"
	for i := range r.survey.Vassals {
		one := &r.survey.Vassals[i]
		if one.Spec == nil {
			continue
		}
		if said := of(one); len(said) > 0 {
			fmt.Fprintf(w, "%s  %s\t%s\n", title, one.Name, strings.Join(said, "; "))
			title = ""
		}
	}
	_ = w.Flush()
}

// rests says when a vassal has no process; nothing for one that always has.
func rests(s spec.Sleep) string {
	var text string
	if s.OnDemand {
		text = ", on demand: " + s.OnDemandReason
	}
	if s.Idle > 0 {
		text += fmt.Sprintf(", sleeps after %s: %s", s.Idle, s.IdleReason)
	}
	return text
}

// firstMistake is where the first thing is written that keeps a vassal from starting.
func firstMistake(one *emperor.Surveyed) string {
	mistakes := one.Problems.Errors()
	if len(mistakes) == 0 {
		return relative(one.File)
	}
	first := slices.MinFunc(mistakes, func(a, b config.Problem) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line))
	})
	return shortened(first).Pos.String()
}

func sockets(one *emperor.Surveyed) string {
	var out []string
	if files := one.Spec.StaticFiles(); files != nil {
		return "the folder " + relative(files.Path)
	}
	for _, s := range one.Spec.Sockets {
		text := s.Protocol + ":" + s.Address
		if s.Automatic {
			text = s.Protocol + " on a socket made for the front"
			if one.Spec.Kind == spec.Command {
				text += ", or on $PORT"
			}
		}
		if !s.Held {
			text += " (bound by itself: " + s.Why + ")"
		}
		out = append(out, text)
	}
	if one.Spec.Port {
		out = append(out, "a port of its own")
	}
	return strings.Join(out, ", ")
}

func (r *checkReport) writeRules(out io.Writer) {
	if listeners := r.main.Front.Listeners; len(listeners) > 0 {
		fmt.Fprintf(out, "\n%d %s\n", len(listeners), plural(len(listeners), "listener"))
		for _, l := range listeners {
			fmt.Fprintf(out, "  %s: %s = %s\n", config.Pos{File: relative(l.File), Line: l.Line}, l.Option, l.Address)
		}
	}
	if r.table == nil {
		return
	}
	r.writeStreams(out)
	rules := r.table.Rules()
	fmt.Fprintf(out, "\n%d %s\n", len(rules), plural(len(rules), "rule"))
	for _, rule := range rules {
		fmt.Fprintf(out, "  %s: %s\n", config.Pos{File: relative(rule.Pos().File), Line: rule.Pos().Line}, rule)
	}
}

// writeStreams writes the rules of connections that go on as they are.
func (r *checkReport) writeStreams(out io.Writer) {
	rules := r.streams.Rules()
	if len(rules) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%d %s of streams\n", len(rules), plural(len(rules), "rule"))
	for _, one := range rules {
		file, line := one.Pos()
		fmt.Fprintf(out, "  %s: %s\n", config.Pos{File: relative(file), Line: line}, one)
	}
}

// writeEffective writes each option that counts, with where it was written.
func (r *checkReport) writeEffective(out io.Writer) {
	writeOptions(out, r.main.Name(), r.main.Config)
	if r.main.App != nil {
		return // its options are among them
	}
	for _, one := range r.survey.Vassals {
		if one.Config != nil {
			writeOptions(out, one.File, one.Config)
		}
	}
}

func writeOptions(out io.Writer, name string, c *config.Config) {
	fmt.Fprintf(out, "\n%s\n", relative(name))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, v := range c.Values {
		line := v.Key
		if v.HasValue {
			line += " = " + v.Value
		}
		if v.Unknown {
			line += "  (known to uWSGI only)"
		}
		fmt.Fprintf(w, "  %s\t; %s\n", line, v.Pos)
	}
	_ = w.Flush()
}
