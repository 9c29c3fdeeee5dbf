package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"emperor/emperor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/router/rule"
)

// runCheck is `emperor check FILE`: all mistakes first, each as file:line, then
// the vassals, the rules, and what is worth knowing about both.
func runCheck(args []string, out io.Writer) error {
	show := slices.Contains(args, "--show")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--show" })
	if len(args) == 0 {
		return usageError("check: want a configuration file")
	}
	reader, err := newReader()
	if err != nil {
		return err
	}
	s, err := source(args)
	if err != nil {
		return err
	}
	main, _, problems := reader.Read(s)
	fmt.Fprint(out, ended(problems.String()))
	if main == nil {
		return &failure{code: exitFailed}
	}
	surveyed, err := main.Survey(context.Background())
	if err != nil {
		return err
	}
	mistakes := len(problems.Errors())
	for _, one := range surveyed {
		fmt.Fprint(out, ended(one.Problems.String()))
		mistakes += len(one.Problems.Errors())
	}
	for _, note := range main.Notes {
		fmt.Fprintln(out, note.Error())
	}
	fmt.Fprint(out, ended(main.MissingMonitors().String()))
	writeVassals(out, surveyed)
	table := compileRules(main.Front)
	writeRules(out, main, table)
	writeNotes(out, notes(main, surveyed, table))
	if show {
		writeEffective(out, main.Name(), main.Config)
		for _, one := range surveyed {
			if one.Config != nil {
				writeEffective(out, one.File, one.Config)
			}
		}
	}
	if mistakes > 0 {
		return &failure{exitFailed, fmt.Sprintf("%d %s", mistakes, plural(mistakes, "mistake"))}
	}
	return nil
}

// ended is text with an end of line, if there is any text.
func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func writeVassals(out io.Writer, surveyed []emperor.Surveyed) {
	fmt.Fprintf(out, "\n%d %s\n", len(surveyed), plural(len(surveyed), "vassal"))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, one := range surveyed {
		if one.Spec == nil {
			fmt.Fprintf(w, "  %s\tnot started: its file has mistakes (%s)\n", one.Name, one.File)
			continue
		}
		overlap := "overlap: yes"
		if !one.Spec.Overlap {
			overlap = "overlap: no (" + one.Spec.OverlapReason + ")"
		}
		fmt.Fprintf(w, "  %s\t%s: %s\t%s\t%s\n", one.Name, one.Spec.Kind, one.Spec.KindReason, sockets(one), overlap)
	}
	_ = w.Flush()
}

func sockets(one emperor.Surveyed) string {
	var out []string
	for _, s := range one.Spec.Sockets {
		text := s.Protocol + ":" + s.Address
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

func writeRules(out io.Writer, main *emperor.Main, table *rule.Table) {
	for _, l := range main.Front.Listeners {
		fmt.Fprintf(out, "\nlistener %s: %s = %s\n", config.Pos{File: l.File, Line: l.Line}, l.Option, l.Address)
	}
	if table == nil {
		return
	}
	rules := table.Rules()
	fmt.Fprintf(out, "\n%d %s\n", len(rules), plural(len(rules), "rule"))
	for _, r := range rules {
		fmt.Fprintf(out, "  %s: %s\n", r.Pos(), r)
	}
}

func writeNotes(out io.Writer, notes []string) {
	if len(notes) == 0 {
		return
	}
	fmt.Fprintln(out, "\nnotes")
	for _, note := range notes {
		fmt.Fprintln(out, "  "+note)
	}
}

// notes are what is no mistake but may not be what was meant.
func notes(main *emperor.Main, surveyed []emperor.Surveyed, table *rule.Table) []string {
	var out []string
	for _, one := range surveyed {
		if one.Spec == nil {
			continue
		}
		for _, a := range one.Spec.Addresses() {
			if table != nil {
				out = append(out, ruleNotes(one, a, table)...)
			}
			if why := unreachable(a.Address, main.RouterUser); why != "" && len(main.Front.Listeners) > 0 {
				out = append(out, fmt.Sprintf("%s: the router could not connect to %s: %s", one.File, a.Address, why))
			}
		}
	}
	return out
}

func ruleNotes(one emperor.Surveyed, a link.Address, table *rule.Table) []string {
	var out []string
	if opens, r, ok := table.Capitals(a.Address); ok {
		out = append(out, fmt.Sprintf("%s: %s has capitals: host names are lower case, so the rule of %s opens %s", one.File, a.Address, r.Pos(), opens))
	}
	for _, r := range table.Rules() {
		kind, target, _ := r.Target()
		if kind != rule.Uwsgi && kind != rule.HTTP || !canBe(target, a.Address) {
			continue
		}
		spoken := "uwsgi"
		if kind == rule.HTTP {
			spoken = "http"
		}
		if spoken != a.Protocol {
			out = append(out, fmt.Sprintf("%s: the rule says %s, but vassal %s speaks %s on %s: the vassal's protocol is used",
				r.Pos(), spoken, one.Name, a.Protocol, a.Address))
		}
		break // a later rule for the same address has nothing to add
	}
	return out
}

var capture = regexp.MustCompile(`\\\$(?:[0-9]|\\\{[A-Za-z_][A-Za-z0-9_]*\\\})`)

// canBe tells whether a rule's target, with its captures filled in, can be the
// address. A capture never holds a slash.
func canBe(target, address string) bool {
	pattern := capture.ReplaceAllString(regexp.QuoteMeta(target), `[^/]+`)
	ok, err := regexp.MatchString(`^(?:`+pattern+`)$`, address)
	return err == nil && ok
}

// unreachable says why user could not connect to a unix socket: a directory on
// the way, or the file that is there now. The emperor gives the sockets that it
// binds itself to the router's group, so those are in order once it runs.
func unreachable(address string, user *proc.Credential) string {
	if user == nil || !filepath.IsAbs(address) {
		return ""
	}
	for dir := filepath.Dir(address); ; dir = filepath.Dir(dir) {
		var stat syscall.Stat_t
		if err := syscall.Stat(dir, &stat); err == nil && !permits(&stat, user, 1) {
			return fmt.Sprintf("its user %d may not enter %s (mode %o)", user.UID, dir, stat.Mode&0o777)
		}
		if dir == "/" {
			break
		}
	}
	return ""
}

// permits tells whether the mode gives user the permission bit (4 read, 2 write,
// 1 enter).
func permits(stat *syscall.Stat_t, user *proc.Credential, bit uint32) bool {
	switch {
	case user.UID == 0:
		return true
	case stat.Uid == user.UID:
		return stat.Mode>>6&bit != 0
	case stat.Gid == user.GID || slices.Contains(user.Groups, stat.Gid):
		return stat.Mode>>3&bit != 0
	}
	return stat.Mode&bit != 0
}

// writeEffective writes each option that counts, with where it was written.
func writeEffective(out io.Writer, name string, c *config.Config) {
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

// relative shortens a path that is below the working directory.
func relative(path string) string {
	if dir, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(short, "..") {
			return short
		}
	}
	return path
}
