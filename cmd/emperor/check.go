package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"emperor/emperor"
	"emperor/emperor/control"
	"emperor/internal/config"
	"emperor/router"
	"emperor/router/rule"
	"emperor/router/stream"
)

// checkReport is what `emperor check` has found out.
type checkReport struct {
	main     *emperor.Main // nil when the main file has mistakes
	survey   *emperor.Survey
	table    *rule.Table
	streams  *stream.Table // nil when the rules have mistakes
	problems config.Problems
	notes    []string
	running  int // the emperor that runs these files; 0: none does
}

// runCheck is `emperor check FILE`: all mistakes first, each as file:line, then
// the vassals, the rules, and what is worth knowing about both.
func runCheck(args []string, out io.Writer) error {
	show, args := without(args, "--show")
	asJSON, args := without(args, "--json")
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
	r, err := check(reader, s)
	if err != nil {
		return err
	}
	if asJSON {
		err = control.WriteJSON(out, r.json())
	} else {
		r.write(out)
		if show && r.main != nil {
			r.writeEffective(out)
		}
	}
	if err != nil {
		return err
	}
	if n := len(r.problems.Errors()); n > 0 {
		if asJSON {
			return &failure{code: exitFailed}
		}
		return &failure{exitFailed, fmt.Sprintf("%d %s", n, plural(n, "mistake"))}
	}
	return nil
}

// without takes a word out of the arguments and tells whether it was there.
func without(args []string, word string) (was bool, rest []string) {
	rest = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == word })
	return len(rest) < len(args), rest
}

// check reads everything and foresees what it can.
func check(reader emperor.Reader, s emperor.Source) (*checkReport, error) {
	main, files, problems := reader.Read(s)
	r := &checkReport{main: main}
	if main == nil {
		r.take(files, problems)
		return r, nil
	}
	var err error
	if r.survey, err = main.Survey(); err != nil {
		return nil, err
	}
	running, err := runningStatus(main)
	if running != nil {
		r.running = running.PID
	}
	main.Foresee(r.survey, running, err)
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		r.notes = append(r.notes, "the emperor that runs could not be asked what it has: "+err.Error())
	}
	r.table, r.streams = compileRules(main.Front), compileStreams(main.Front)
	problems = append(problems, router.CheckCertificates(&main.Front, time.Now())...)
	problems = append(problems, main.MissingMonitors()...)
	problems = append(problems, r.survey.Problems...)
	problems = append(problems, vassalProblems(r.survey.Vassals)...)
	found, remarks := ruleProblems(main, r.survey, r.table, r.streams)
	obstacles, orders := acmeProblems(main, r.table)
	r.take(files, slices.Concat(problems, found, obstacles))
	r.notes = slices.Concat(r.notes, remarks, orders)
	if inside := rulesInside(main); inside != "" {
		r.notes = append(r.notes, inside)
	}
	for _, note := range main.Notes {
		r.notes = append(r.notes, shortened(note).Error())
	}
	if len(r.survey.Others) > 0 {
		r.notes = append(r.notes, notVassals(r.survey.Others))
	}
	return r, nil
}

// vassalProblems are those of all vassals. What stands in another file than the
// vassal's own, the main file or one that it includes, is said once for all whom it
// concerns, with their names.
func vassalProblems(vassals []emperor.Surveyed) config.Problems {
	var out config.Problems
	concerned := map[config.Problem][]string{}
	for i := range vassals {
		one := &vassals[i]
		for _, p := range one.Problems {
			if filepath.Clean(p.Pos.File) == one.File {
				out = append(out, p)
				continue
			}
			if concerned[p] == nil {
				out = append(out, p)
			}
			concerned[p] = append(concerned[p], one.Name)
		}
	}
	for i, p := range out {
		if names := concerned[p]; names != nil {
			out[i].Text += " (" + enumerate(names) + ")"
		}
	}
	return out
}

// enumerate is a list of vassals for a message, cut when it is long.
func enumerate(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	const most = 4
	if len(names) > most {
		return fmt.Sprintf("%d vassals: %s …", len(names), strings.Join(names[:most], ", "))
	}
	return plural(len(names), "vassal") + " " + strings.Join(names, ", ")
}

// take sorts problems: files with mistakes before those that only give reason to
// warn, and the main file before others; in a file mistakes first, each by line.
func (r *checkReport) take(main []string, problems config.Problems) {
	first := map[string]bool{"": true}
	for _, file := range main {
		first[relative(file)] = true
	}
	wrong := map[string]bool{}
	for i := range problems {
		problems[i] = shortened(problems[i])
		wrong[problems[i].Pos.File] = wrong[problems[i].Pos.File] || !problems[i].Warning
	}
	later := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(problems, func(a, b config.Problem) int {
		return cmp.Or(
			cmp.Compare(later(!wrong[a.Pos.File]), later(!wrong[b.Pos.File])),
			cmp.Compare(later(!first[a.Pos.File]), later(!first[b.Pos.File])),
			strings.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(later(a.Warning), later(b.Warning)),
			cmp.Compare(a.Pos.Line, b.Pos.Line))
	})
	r.problems = slices.Compact(problems)
}

// shortened names files below the working directory from there, as compilers do.
func shortened(p config.Problem) config.Problem {
	p.Pos.File = relative(p.Pos.File)
	return p
}

// notVassals says which files beside the vassals are none.
func notVassals(files []string) string {
	const most = 5
	names := make([]string, 0, most+1)
	for i, file := range files {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(files)-most))
			break
		}
		names = append(names, relative(file))
	}
	return strings.Join(names, ", ") + ": no vassal by the end of the name (.ini, .yml, .yaml, .json, .xml; see emperor-extra-extension)"
}

// rulesInside says which rules of one app's file are not the front's.
func rulesInside(main *emperor.Main) string {
	if main.App == nil || len(main.App.Rules) == 0 {
		return ""
	}
	n := len(main.App.Rules)
	return fmt.Sprintf("%d %s of %s are run inside the app, by uWSGI, as they always were; a rule with vassal:%s is the front's",
		n, plural(n, "rule"), relative(main.Name()), emperor.AppName)
}

// relative shortens a path that is below the working directory.
func relative(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	if dir, err := os.Getwd(); err == nil && dir != "/" { // a service's is not its user's
		if short, err := filepath.Rel(dir, path); err == nil && short != ".." && !strings.HasPrefix(short, "../") {
			return short
		}
	}
	return path
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
