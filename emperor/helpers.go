package emperor

import (
	"emperor/emperor/control"
	"emperor/vassal"
)

// helpersOf translates what runs beside a vassal into what the control socket shows.
func helpersOf(s vassal.Status) (daemons []control.DaemonStatus, crons []control.CronStatus) {
	for _, d := range s.Daemons {
		daemons = append(daemons, control.DaemonStatus{Option: d.String(), Line: d.Line, PID: d.PID, Since: d.Since, Restarts: d.Restarts, Reason: d.Reason, Retry: d.RetryAt})
	}
	for _, c := range s.Crons {
		crons = append(crons, control.CronStatus{Option: c.String(), Line: c.Line, Schedule: c.Schedule, Next: c.Next, Running: c.Running, Last: c.Last, Result: c.Result})
	}
	return daemons, crons
}
