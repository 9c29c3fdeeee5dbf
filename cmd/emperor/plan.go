package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"emperor/emperor"
	"emperor/emperor/control"
)

// runPlan is `emperor plan FILE`: what an emperor that runs would do if it were
// given FILE now. Nothing is changed.
func runPlan(args []string, out io.Writer) error {
	asJSON, args := without(args, "--json")
	if len(args) == 0 {
		return usageError("plan: want a configuration file")
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
	if main == nil {
		return &failure{exitFailed, "the main file has mistakes: a running emperor would change nothing, and none could be started\n" + strings.TrimSpace(problems.Errors().String())}
	}
	survey, err := main.Survey()
	if err != nil {
		return err
	}
	running, err := runningStatus(main)
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("what runs can not be asked: %w", err)
	}
	plan := main.Plan(survey, running)
	if asJSON {
		return control.WriteJSON(out, plan)
	}
	writePlan(out, plan, err)
	return nil
}

// writePlan writes a plan for people; none says why nothing runs.
func writePlan(out io.Writer, p emperor.Plan, none error) {
	if p.Running {
		fmt.Fprintf(out, "compared with the emperor that runs %s (process %d)\n", p.Config, p.PID)
	} else {
		fmt.Fprintf(out, "everything would start: %v\n", none)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	count := map[emperor.Action]int{}
	for _, v := range p.Vassals {
		count[v.Action]++
		fmt.Fprintf(w, "  %s\t%s\t%s\n", v.Action, v.Name, strings.ReplaceAll(v.Why, "\t", " "))
	}
	_ = w.Flush()
	var changes []string
	for _, l := range p.Front.Opens {
		changes = append(changes, "opens "+l)
	}
	for _, l := range p.Front.Closes {
		changes = append(changes, "closes "+l)
	}
	switch {
	case len(changes) > 0:
		fmt.Fprintf(out, "front: %s\n", strings.Join(changes, ", "))
	case p.Front.Changes:
		fmt.Fprintln(out, "front: its rules or options change; no connection is lost")
	default:
		fmt.Fprintln(out, "front: no change")
	}
	var sums []string
	for _, a := range []emperor.Action{emperor.PlanStart, emperor.PlanSleep, emperor.PlanReload, emperor.PlanStop, emperor.PlanKeep, emperor.PlanRefuse} {
		if n := count[a]; n > 0 {
			sums = append(sums, fmt.Sprintf("%d to %s", n, a))
		}
	}
	if len(sums) == 0 {
		sums = []string{"no vassal"}
	}
	fmt.Fprintln(out, strings.Join(sums, ", "))
}

// runningStatus asks the emperor that may be running from the same main file.
func runningStatus(main *emperor.Main) (*control.Status, error) {
	if main.Control == "none" {
		return nil, fmt.Errorf("%w that could be asked (control = none)", control.ErrNotRunning)
	}
	client := control.NewClient(control.Path(main.Control))
	client.Patience = 2 * time.Second
	status, err := client.Status(context.Background())
	if err != nil {
		return nil, err
	}
	return &status, nil
}
