package control

import (
	"fmt"
	"time"
)

// DaemonStatus is a program that runs beside a vassal.
type DaemonStatus struct {
	Option string `json:"option"` // "attach-daemon (shop.ini:4)"
	Line   string `json:"line"`
	// PID is 0 while it does not run; Reason and Retry then say why, and until when.
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since"`
	Restarts uint64    `json:"restarts,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Retry    time.Time `json:"retry,omitzero"`
}

// CronStatus is a program that runs at certain times.
type CronStatus struct {
	Option   string `json:"option"`
	Line     string `json:"line"`
	Schedule string `json:"schedule"`
	// Next is when it is due, Running how many runs are under way.
	Next    time.Time `json:"next,omitzero"`
	Running int       `json:"running,omitempty"`
	// Last is when the last run that is over began, Result how it failed.
	Last   time.Time `json:"last,omitzero"`
	Result string    `json:"result,omitempty"`
}

// text is what `emperor why` says of it.
func (d DaemonStatus) text(now time.Time) string {
	restarts := ""
	if d.Restarts > 0 {
		restarts = fmt.Sprintf(", restarts %d", d.Restarts)
	}
	switch {
	case d.PID > 0:
		return fmt.Sprintf("%s: pid %d for %s%s", d.Option, d.PID, age(d.Since, now), restarts)
	case d.Reason == "":
		return d.Option + ": starting"
	}
	return fmt.Sprintf("%s: %s; again in %s%s", d.Option, d.Reason, span(max(0, d.Retry.Sub(now))), restarts)
}

func (c CronStatus) text(now time.Time) string {
	text := c.Option
	if !c.Next.IsZero() {
		text += ": next " + c.Next.Format(time.DateTime)
	}
	if c.Running > 0 {
		text += fmt.Sprintf(", %d running", c.Running)
	}
	switch {
	case c.Result != "":
		text += fmt.Sprintf("; the last run, %s ago, failed: %s", age(c.Last, now), c.Result)
	case !c.Last.IsZero():
		text += fmt.Sprintf("; the last run, %s ago, went well", age(c.Last, now))
	}
	return text
}
