package emperor

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"emperor/internal/proc"
)

// stopped says that a child was stopped, or goes on: such a process has not died, and
// answers nobody.
func (e *Emperor) stopped(s proc.Stop) {
	log := e.log
	if v := e.view.Load(); v != nil {
		for name, one := range v.vassals {
			if status := one.site.Status(); slices.Contains(status.PIDs, s.PID) || slices.Contains(status.StartingPIDs, s.PID) {
				log = log.With("vassal", name)
				break
			}
		}
	}
	if s.GoesOn {
		log.Info("the process that was stopped goes on", "pid", s.PID)
		return
	}
	log.Warn(fmt.Sprintf("a process was stopped by %s and answers nobody; let it go on: kill -CONT %d", unix.SignalName(s.Signal), s.PID))
}
