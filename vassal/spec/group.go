package spec

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"emperor/internal/cgroup"
	"emperor/internal/config"
)

// groupOptions put what a vassal runs into a control group of version 2. In a file that
// uWSGI runs, cgroup and cgroup-opt are uWSGI's, which knows version 1 only.
var groupOptions = []config.Option{
	{Name: "memory-max", Type: config.String, Where: config.Vassal, Help: "Memory that a generation of the vassal may use, all processes together: 512M, 2G (memory.max of a control group); when it is full the kernel ends something in it."},
	{Name: "cpu-max", Type: config.String, Where: config.Vassal, Help: "How many processors a generation of the vassal may use: 0.5, 2 (cpu.max of a control group)."},
	{Name: "pids-max", Type: config.String, Where: config.Vassal, Help: "How many processes and threads a generation of the vassal may have (pids.max of a control group)."},
	{Name: "cgroup", Type: config.Path, Where: config.Vassal, Help: "The control group below which those of a command's generations are made; default: the emperor's own."},
	{Name: "cgroup-opt", Type: config.String, Repeat: true, Where: config.Vassal, Help: "FILE=VALUE: write this into a file of each generation's control group, such as io.weight=50 (a command's)."},
}

// Group is the control group of each generation.
type Group struct {
	_ struct{} `carry:"small"`

	Asked  bool
	parent string
	values []GroupValue
}

// GroupValue is one file of it.
type GroupValue struct {
	_ struct{} `carry:"small"`

	file, text, name string
}

// Settings are the lines as package cgroup takes them.
func (g *Group) Settings() cgroup.Settings {
	s := cgroup.Settings{Parent: g.parent}
	for _, v := range g.values {
		s.Values = append(s.Values, cgroup.Value{File: v.file, Text: v.text, Name: v.name})
	}
	return s
}

// readGroup completes the spec with the control group, if a line asks for one.
func (r *reader) readGroup() {
	g := &r.spec.Limits.Group
	for _, limit := range []struct {
		name, file string
		parse      func(string) (text string, size float64, err error)
	}{{"memory-max", "memory.max", memoryMax}, {"cpu-max", "cpu.max", cpuMax}, {"pids-max", "pids.max", pidsMax}} {
		v, ok := r.strictest(limit.name, limit.parse)
		if !ok {
			continue
		}
		text, _, err := limit.parse(v.Value)
		if err != nil {
			r.wrong(v, "%v", err)
			continue
		}
		g.values = append(g.values, GroupValue{file: limit.file, text: text, name: limit.name})
	}
	if r.spec.Kind == Command {
		r.readGroupPlace()
	}
	g.Asked = g.parent != "" || len(g.values) > 0
}

// readGroupPlace reads what uWSGI has options for, too.
func (r *reader) readGroupPlace() {
	g := &r.spec.Limits.Group
	for _, v := range r.c.All("cgroup", "cgroup-opt") {
		switch {
		case v.Unknown:
			r.wrong(v, "the value depends on something that is never evaluated for a vassal (a program, a file's content or a URL)")
		case r.isTenants(v):
			r.wrong(v, "control groups are root's to choose, and it runs as user %s from its start (memory-max, cpu-max and pids-max are allowed)", AccountOf(r.User))
		case v.Key == "cgroup" && (!filepath.IsAbs(v.Value) || filepath.Clean(v.Value) == "/"):
			r.wrong(v, "want the directory of a control group such as /sys/fs/cgroup/sites, got %q", v.Value)
		case v.Key == "cgroup":
			g.parent = filepath.Clean(v.Value)
		default:
			at := strings.IndexAny(v.Value, "=:")
			if at < 0 {
				at = len(v.Value)
			}
			file, text := v.Value[:at], strings.TrimLeft(v.Value[at:], "=:")
			if !strings.Contains(file, ".") || strings.ContainsAny(file, "/ ") || text == "" {
				r.wrong(v, "want FILE=VALUE such as io.weight=50, got %q", v.Value)
				continue
			}
			g.values = append(g.values, GroupValue{file: file, text: text, name: "cgroup-opt = " + file})
		}
	}
}

// strictest is the line that counts for a limit: the last one, but where that is of
// somebody who runs as himself a lower limit of root's counts.
func (r *reader) strictest(name string, parse func(string) (string, float64, error)) (config.Value, bool) {
	v, ok := r.c.Last(name)
	if !ok || !r.isTenants(v) {
		return v, ok
	}
	_, own, err := parse(v.Value)
	for _, line := range r.c.All(name) {
		if r.isTenants(line) {
			continue
		}
		if _, root, wrong := parse(line.Value); wrong == nil && err == nil && root < own {
			r.warn(v, "no effect: %s allows %s", Reason(line), line.Value)
			v, own = line, root
		}
	}
	return v, true
}

func memoryMax(text string) (string, float64, error) {
	n, err := amount(text, true)
	switch {
	case err != nil || n == 0:
		return "", 0, fmt.Errorf("want bytes such as 512M or 2G, or max, got %q", text)
	case n == math.MaxUint64:
		return "max", math.Inf(1), nil
	}
	return strconv.FormatUint(n, 10), float64(n), nil
}

func pidsMax(text string) (string, float64, error) {
	n, err := amount(text, false)
	switch {
	case err != nil || n == 0:
		return "", 0, fmt.Errorf("want a number, or max, got %q", text)
	case n == math.MaxUint64:
		return "max", math.Inf(1), nil
	}
	return strconv.FormatUint(n, 10), float64(n), nil
}

// cpuPeriod is what a share of a processor is measured in (the kernel's own default), in
// microseconds.
const cpuPeriod = 100_000

func cpuMax(text string) (string, float64, error) {
	if text == "max" {
		return text, math.Inf(1), nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0.01 && n <= 1e6 {
		return fmt.Sprintf("%.0f %d", n*cpuPeriod, cpuPeriod), n, nil
	}
	if quota, period, ok := strings.Cut(text, " "); ok {
		q, wrongQ := strconv.ParseUint(quota, 10, 40)
		p, wrongP := strconv.ParseUint(period, 10, 40)
		if wrongQ == nil && wrongP == nil && q > 0 && p > 0 {
			return fmt.Sprintf("%d %d", q, p), float64(q) / float64(p), nil
		}
	}
	return "", 0, fmt.Errorf("want a number of processors such as 0.5 or 2, or QUOTA PERIOD in microseconds, or max, got %q", text)
}
