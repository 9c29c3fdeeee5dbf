package emperor

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"
	"time"

	"emperor/emperor/control"
	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/vassal"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// view is what the loop publishes for everybody else: immutable.
type view struct {
	main     *Main
	problems []string
	vassals  map[string]viewed
	names    []string // sorted
}

// viewed is one vassal in a view.
type viewed struct {
	site     site
	item     monitor.Item
	includes monitor.Fingerprint
	print    string // of the spec
	spec     *spec.Spec
	problems []string
	warnings []string
	leaving  bool
	born     int64
}

var _ control.Emperor = (*Emperor)(nil)

// publish replaces the view. It is called by the loop after each change.
func (e *Emperor) publish() {
	v := &view{main: e.main, problems: texts(e.problems), vassals: map[string]viewed{}}
	if e.registry != nil {
		for entry := range e.registry.all() {
			if entry.born == 0 {
				entry.born = modified(entry.item)
			}
			one := viewed{site: entry.site, item: entry.item, includes: entry.print, print: entry.specPrint, spec: entry.spec, warnings: texts(entry.problems.Warnings()), leaving: entry.leaving, born: entry.born}
			if entry.refused {
				one.problems = texts(entry.problems.Errors())
			}
			v.vassals[entry.name] = one
			v.names = append(v.names, entry.name)
		}
	}
	e.view.Store(v)
}

func texts(problems config.Problems) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Error())
	}
	return out
}

// Status implements control.Emperor.
func (e *Emperor) Status() control.Status {
	v := e.view.Load()
	s := control.Status{
		Version: e.program.Version, PID: os.Getpid(), Since: e.since,
		Config: v.main.Name(), Front: v.main.frontPrint(), Problems: v.problems, Vassals: []control.VassalStatus{},
	}
	counted := &link.Counters{}
	if e.router != nil {
		s.Router = e.router.Status()
		if now := e.router.counted.Load(); now != nil && s.Router != nil {
			counted = now
			router := *s.Router
			router.Requests = counted.Requests
			s.Router = &router
		}
	}
	for _, name := range v.names {
		one := v.vassals[name].status()
		one.Log, one.Failure, one.Requests = nil, nil, counted.Vassals[name]
		s.Vassals = append(s.Vassals, one)
	}
	return s
}

// Vassal implements control.Emperor.
func (e *Emperor) Vassal(name string) (control.VassalStatus, bool) {
	one, ok := e.view.Load().vassals[name]
	if !ok {
		return control.VassalStatus{}, false
	}
	return one.status(), true
}

// Order implements control.Emperor.
func (e *Emperor) Order(ctx context.Context, name string, o control.Order) error {
	one, ok := e.view.Load().vassals[name]
	if !ok {
		return fmt.Errorf("there is no vassal %q", name)
	}
	if one.leaving {
		return errNotYet
	}
	return one.site.Order(ctx, vassal.Order(o))
}

// Logs implements control.Emperor.
func (e *Emperor) Logs(ctx context.Context, name string, follow bool) iter.Seq[control.LogLine] {
	return func(yield func(control.LogLine) bool) {
		one, ok := e.view.Load().vassals[name]
		if !ok {
			return
		}
		last, coming, stop := one.site.Follow()
		defer stop()
		for _, line := range last {
			if !yield(logLine(line)) {
				return
			}
		}
		for follow {
			select {
			case line, ok := <-coming:
				if !ok || !yield(logLine(line)) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func logLines(lines []logs.Line) (out []control.LogLine) {
	for _, l := range lines {
		out = append(out, logLine(l))
	}
	return out
}

func logLine(l logs.Line) control.LogLine {
	return control.LogLine{Time: l.Time, Generation: l.Generation, Text: l.Text}
}

// status translates a vassal's own status into what the control socket shows.
func (one viewed) status() control.VassalStatus {
	s := one.site.Status()
	out := control.VassalStatus{
		Name: s.Name, File: one.item.Path,
		Kind: s.Kind.String(), State: s.State.String(), Since: s.Since, Reason: s.Reason,
		Generation: s.Generation, PIDs: s.PIDs, Starting: s.Starting, StartingPIDs: s.StartingPIDs, Restarts: int(s.Restarts), Retry: s.RetryAt,
		Overlap: s.Overlap, OverlapReason: s.OverlapReason,
		Problems: one.problems, Warnings: one.warnings, Awake: s.Awake, OnDemand: s.OnDemandReason, Idle: s.Idle.Seconds(),
	}
	out.Health = health(s.Health)
	out.Daemons, out.Crons = helpersOf(s)
	if h := s.Hook; h != nil {
		out.Hook = &control.HookFailure{At: h.At, How: h.How}
	}
	if s.Files != nil {
		out.Folder = s.Files.Path
	}
	out.State = stateOf(s)
	if one.spec != nil {
		if one.spec.Kind == s.Kind { // what runs may be from before the last edit
			out.KindReason = one.spec.KindReason
		}
		out.FilePrint, out.SpecPrint = filePrint(one.item.Stamp, one.includes), one.print
	}
	if s.Problem != "" && !slices.Contains(out.Problems, s.Problem) && len(out.Problems) == 0 {
		out.Problems = append(slices.Clone(out.Problems), s.Problem)
	}
	for _, a := range s.Addresses {
		out.Sockets = append(out.Sockets, a.Protocol+":"+a.Address)
	}
	out.Log = logLines(s.Lines)
	if f := s.Failure; f != nil {
		out.Failure = &control.Failure{Generation: f.Generation, At: f.At, How: f.How, Log: logLines(f.Lines)}
	}
	return out
}

// logStatus is what SIGUSR1 asks for: one line per vassal.
func (e *Emperor) logStatus() {
	for entry := range e.registry.all() {
		s := entry.site.Status()
		e.log.Info("status", "vassal", entry.name, "state", s.State.String(), "since", s.Since.Format(time.DateTime),
			"generation", s.Generation, "pids", fmt.Sprint(s.PIDs), "restarts", s.Restarts, "reason", s.Reason)
	}
}
