package main

import (
	"io"

	"emperor/emperor/control"
)

// runEvents is `emperor events [-f] [VASSAL…]`.
func runEvents(args []string, out io.Writer) error {
	q, err := ask("events", args)
	if err != nil {
		return err
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	wanted := map[string]bool{}
	if len(q.names) > 0 {
		s, err := q.client.Status(ctx)
		if err != nil {
			return err
		}
		vassals, err := q.only(s.Vassals)
		if err != nil {
			return err
		}
		for _, v := range vassals {
			wanted[v.Name] = true
		}
	}
	for event, err := range q.client.Events(ctx, q.follow) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if len(wanted) > 0 && !wanted[event.Vassal] {
			continue
		}
		if q.json {
			err = control.WriteJSON(out, event)
		} else {
			err = control.WriteEvent(out, event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
