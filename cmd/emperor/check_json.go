package main

import (
	"time"

	"emperor/internal/config"
)

// checked is `emperor check --json`. Its fields only ever grow.
type checked struct {
	// Fine: there are no errors.
	Fine     bool             `json:"fine"`
	Errors   []checkedProblem `json:"errors"`
	Warnings []checkedProblem `json:"warnings"`
	// The rest is missing when the main file has mistakes.
	Vassals   []checkedVassal   `json:"vassals,omitempty"`
	Listeners []checkedListener `json:"listeners,omitempty"`
	Rules     []checkedRule     `json:"rules,omitempty"`
	Streams   []checkedRule     `json:"stream_rules,omitempty"`
	Notes     []string          `json:"notes,omitempty"`
}

type checkedProblem struct {
	File string `json:"file,omitempty"` // empty: the command line
	Line int    `json:"line,omitempty"`
	Key  string `json:"option,omitempty"`
	Text string `json:"text"`
}

type checkedVassal struct {
	Name string `json:"name"`
	File string `json:"file"`
	// Starts: nothing is known that would keep it from starting.
	Starts        bool            `json:"starts"`
	Kind          string          `json:"kind,omitempty"` // missing when its file cannot be used
	KindReason    string          `json:"kind_reason,omitempty"`
	Sockets       []checkedSocket `json:"sockets,omitempty"`
	Folder        string          `json:"folder,omitempty"`   // what is served; sockets are only names for rules
	Port          bool            `json:"own_port,omitempty"` // it gets a TCP port at each start
	Overlap       bool            `json:"overlap"`
	OverlapReason string          `json:"overlap_reason,omitempty"`
	OnDemand      string          `json:"on_demand,omitempty"` // the line that makes it wait for the first request
	Idle          float64         `json:"idle,omitempty"`      // seconds after which it is put to sleep
	// Protections: who it runs as and what it may use, in words.
	Protections []string `json:"protections,omitempty"`
	// Beside: hooks, daemons and cron jobs, in words.
	Beside []string `json:"beside,omitempty"`
}

type checkedSocket struct {
	Address  string `json:"address"`
	Protocol string `json:"protocol"`
	Held     bool   `json:"held"`
	Why      string `json:"why,omitempty"` // it is not held
}

type checkedListener struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Option  string `json:"option"`
	Address string `json:"address"`
}

type checkedRule struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

func (r *checkReport) json() checked {
	c := checked{Fine: len(r.problems.Errors()) == 0, Errors: checkedProblems(r.problems.Errors()), Warnings: checkedProblems(r.problems.Warnings()), Notes: r.notes}
	if r.main == nil {
		return c
	}
	for i := range r.survey.Vassals {
		one := &r.survey.Vassals[i]
		v := checkedVassal{Name: one.Name, File: one.File, Starts: one.Starts()}
		if s := one.Spec; s != nil {
			v.Kind, v.KindReason, v.Port, v.Overlap, v.OverlapReason = s.Kind.String(), s.KindReason, s.Port, s.Overlap, s.OverlapReason
			v.OnDemand, v.Idle = s.OnDemandReason, s.Idle.Seconds()
			v.Beside = s.Beside(time.Now())
			v.Protections = s.Protections(one.Config, r.running)
			if files := s.StaticFiles(); files != nil {
				v.Folder = files.Path
			}
			for _, socket := range s.Sockets {
				v.Sockets = append(v.Sockets, checkedSocket{socket.Address, socket.Protocol, socket.Held, socket.Why})
			}
		}
		c.Vassals = append(c.Vassals, v)
	}
	for _, l := range r.main.Front.Listeners {
		c.Listeners = append(c.Listeners, checkedListener{l.File, l.Line, l.Option, l.Address})
	}
	if r.table != nil {
		for _, rule := range r.table.Rules() {
			c.Rules = append(c.Rules, checkedRule{rule.Pos().File, rule.Pos().Line, rule.String()})
		}
	}
	for _, rule := range r.streams.Rules() {
		file, line := rule.Pos()
		c.Streams = append(c.Streams, checkedRule{file, line, rule.String()})
	}
	return c
}

func checkedProblems(problems config.Problems) []checkedProblem {
	out := make([]checkedProblem, len(problems))
	for i, p := range problems {
		out[i] = checkedProblem{p.Pos.File, p.Pos.Line, p.Key, p.Text}
	}
	return out
}
