package emperor

import (
	"fmt"
	"slices"
	"strings"

	"emperor/emperor/control"
	"emperor/emperor/monitor"
	"emperor/internal/link"
	"emperor/vassal"
)

// Action is what an emperor would do about one vassal.
type Action string

// The actions.
const (
	PlanStart  Action = "start"  // it does not run
	PlanSleep  Action = "sleep"  // it starts when somebody wants something of it
	PlanReload Action = "reload" // a new generation takes over
	PlanStop   Action = "stop"   // its file is gone: it finishes what it has
	PlanKeep   Action = "keep"   // nothing
	PlanRefuse Action = "refuse" // its file cannot be used, and nothing of it runs
)

// Plan is what a running emperor would do if it were given a main file now, with the
// vassal files as they are; without one, what would be started.
type Plan struct {
	Running bool            `json:"running"` // whether there is an emperor to compare with
	PID     int             `json:"pid,omitempty"`
	Config  string          `json:"config,omitempty"` // its main file
	Vassals []PlannedVassal `json:"vassals"`          // by name
	Front   PlannedFront    `json:"front"`
}

// PlannedVassal is what would become of one vassal, and why.
type PlannedVassal struct {
	Name   string `json:"name"`
	Action Action `json:"action"`
	Why    string `json:"why,omitempty"`
}

// PlannedFront is what would become of the front. It is changed inside the running
// router: no connection is lost.
type PlannedFront struct {
	// Changes: rules, options or listeners differ.
	Changes bool     `json:"changes"`
	Opens   []string `json:"opens,omitempty"` // "http = :8080"
	Closes  []string `json:"closes,omitempty"`
}

// Plan compares a survey with what runs; running is nil when no emperor does.
func (m *Main) Plan(s *Survey, running *control.Status) Plan {
	p := Plan{Running: running != nil, Vassals: []PlannedVassal{}}
	runs := map[string]control.VassalStatus{}
	if running != nil {
		p.PID, p.Config = running.PID, running.Config
		for _, v := range running.Vassals {
			runs[v.Name] = v
		}
	}
	wanted := map[string]bool{}
	for i := range s.Vassals {
		one := &s.Vassals[i]
		wanted[one.Name] = true
		now, there := runs[one.Name]
		if m.App != nil && running != nil {
			// Its socket has the emperor's number in its name.
			one.Spec = m.appResult(running.PID).Spec
		}
		planned := PlannedVassal{Name: one.Name}
		planned.Action, planned.Why = one.plan(now, there)
		p.Vassals = append(p.Vassals, planned)
	}
	for name, now := range runs {
		if !wanted[name] {
			p.Vassals = append(p.Vassals, PlannedVassal{name, PlanStop, gone(now, s)})
		}
	}
	slices.SortFunc(p.Vassals, func(a, b PlannedVassal) int { return strings.Compare(a.Name, b.Name) })
	p.Front = m.planFront(running)
	return p
}

// plan compares one vassal's file with what runs of it.
func (s *Surveyed) plan(now control.VassalStatus, there bool) (Action, string) {
	if s.Spec == nil {
		mistake := ""
		if errs := s.Problems.Errors(); len(errs) > 0 {
			mistake = ": " + errs[0].Error()
		}
		if runs(now) {
			return PlanKeep, "its file has mistakes, what runs goes on" + mistake
		}
		return PlanRefuse, "its file has mistakes" + mistake
	}
	if (!there || now.SpecPrint == "") && s.Spec.OnDemand {
		return PlanSleep, fmt.Sprintf("%s, and starts on demand: %s", s.Spec.Kind, s.Spec.OnDemandReason)
	}
	if !there || now.SpecPrint == "" {
		return PlanStart, fmt.Sprintf("%s: %s", s.Spec.Kind, s.Spec.KindReason)
	}
	why := ""
	switch {
	case now.SpecPrint != s.Spec.Fingerprint() && now.File != s.File:
		why = "another file has its name: " + s.File
	case now.FilePrint != filePrint(s.item.Stamp, monitor.FingerprintOf(s.includes)):
		why = "its file was edited or touched"
	case now.SpecPrint != s.Spec.Fingerprint() && !s.unasked:
		why = "the main file makes something else of it"
	}
	state := fmt.Sprintf("%s, generation %d", now.State, now.Generation)
	switch {
	case now.State == vassal.Stopped.String():
		return PlanKeep, "stopped by an order, until a start is ordered"
	case now.State == vassal.Asleep.String() && s.Spec.Sleeps():
		if why != "" {
			return PlanKeep, "asleep; " + why + ", which counts when it wakes"
		}
		return PlanKeep, "asleep"
	case why != "" && !runs(now) && s.Spec.OnDemand:
		return PlanSleep, why
	case why != "" && !runs(now):
		return PlanStart, why
	case why != "":
		return PlanReload, why
	}
	return PlanKeep, state
}

// runs tells whether something of it answers.
func runs(now control.VassalStatus) bool {
	return len(now.PIDs) > 0 || now.Folder != "" && now.Generation > 0
}

// gone says why a vassal would be stopped, and who takes over from it.
func gone(now control.VassalStatus, s *Survey) string {
	for i := range s.Vassals {
		one := &s.Vassals[i]
		if one.Spec == nil || one.Name == now.Name {
			continue
		}
		if slices.ContainsFunc(one.Spec.Addresses(), func(a link.Address) bool { return slices.Contains(now.Sockets, a.Protocol+":"+a.Address) }) {
			return fmt.Sprintf("%s is not wanted any more; vassal %s takes over its socket", now.File, one.Name)
		}
	}
	return now.File + " is not wanted any more: it finishes its requests first"
}

func (m *Main) planFront(running *control.Status) PlannedFront {
	var open []string
	if running != nil && running.Router != nil {
		open = running.Router.Listeners
	}
	var f PlannedFront
	var wanted []string
	for _, l := range m.Front.Listeners {
		text := l.Option + " = " + l.Address
		wanted = append(wanted, text)
		if !slices.Contains(open, text) {
			f.Opens = append(f.Opens, text)
		}
	}
	for _, text := range open {
		if !slices.Contains(wanted, text) {
			f.Closes = append(f.Closes, text)
		}
	}
	f.Changes = running == nil && len(wanted) > 0 || running != nil && running.Front != m.frontPrint()
	return f
}
