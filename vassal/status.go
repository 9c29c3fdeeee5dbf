package vassal

import (
	"time"

	"emperor/internal/link"
	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// Status is what can be known of a vassal from outside: an immutable snapshot,
// replaced whole at each change.
type Status struct {
	Name string
	File string
	Kind spec.Kind
	// State and Since: where the vassal is in its life, and since when.
	State State
	Since time.Time
	// Reason says in words why the state is what it is ("exit status 1, 0.2 s after its start").
	Reason string
	// Problem is what is wrong although the state may be fine: a file that could
	// not be read, a new generation that did not come up. Empty when the last
	// change of the file took effect.
	Problem string
	// Generation is the number of the one that gets new requests, 0 when none does.
	Generation uint64
	// PIDs are the processes of that generation that were started by us (a uWSGI
	// master, the copies of a command), not their children.
	PIDs []int
	// Starting is the generation on its way up, 0 when there is none, and
	// StartingPIDs are its processes, as PIDs.
	Starting     uint64
	StartingPIDs []int
	// Draining are older generations that finish what they have.
	Draining []uint64
	// Restarts counts starts that nobody asked for, after a crash.
	Restarts uint64
	// Loyal: the generation that serves has answered a request. It is only shown: what
	// decides about restarts is how long it has been ready.
	Loyal bool
	// LastHeartbeat is when a uWSGI has sent one; zero where none did.
	LastHeartbeat time.Time
	// Paused: new requests wait in the front.
	Paused bool
	// RetryAt is when the next start is tried (State Failed).
	RetryAt time.Time
	// Addresses are where it is reached.
	Addresses []link.Address
	// Files are what a static vassal serves; nil for others.
	Files *link.StaticFiles
	// Overlap says whether two generations may run at once, and OverlapReason why not.
	Overlap       bool
	OverlapReason string
	// Sleep says when it runs without a process, Awake why it does not at the moment
	// although it may.
	spec.Sleep
	Awake string
	// Health is the last look at whether it works; nil: nobody looks.
	Health *Inspection
	// Daemons and Crons run beside it, in the order of their lines.
	Daemons []DaemonStatus
	Crons   []CronStatus
	// Hook is how a hook of the main file failed at the last start, or since, although
	// nothing came of it; nil: none did.
	Hook *HookFailure
	// Lines are the last lines it wrote, oldest first.
	Lines []logs.Line
	// Failure is the last one that is still of interest: until a generation is ready
	// that was started for a change or an order. nil: none.
	Failure *Failure
}

// Failure is the end of a generation that was not asked to end. It is immutable.
type Failure struct {
	Generation uint64
	At         time.Time
	How        string
	Lines      []logs.Line // the generation's own last lines, oldest first
}

// Settled says whether a vassal stays in that state unless something happens: it
// answers, it failed, it sleeps, or it is stopped.
func (s State) Settled() bool {
	switch s {
	case Ready, Failed, Stopped, Asleep, Gone:
		return true
	}
	return false
}
