package vassal

import (
	"time"

	"emperor/internal/proc"
	"emperor/internal/sysd"
	"emperor/vassal/clock"
	"emperor/vassal/logs"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// An emperor can be replaced by another binary while its vassals run (emperor upgrade).
// The two are the same process, so children stay children and descriptors stay open;
// what is lost is memory. The types here are what a vassal must remember:
//
//   - pausing.go brings a vassal to a standstill in which that is well defined, and
//     lets it go on if nothing came of the upgrade;
//   - describe.go writes a standing vassal down;
//   - adopt.go makes a standing vassal of what was written down.
//
// Time goes on meanwhile: back-offs and the mercy of old generations keep their ends, also
// if the clock is set (Written).

// Carried is a vassal as one binary of the emperor describes it to the next.
type Carried struct {
	Name string
	// Written is when this was.
	Written clock.Moment
	// State is the name of one in which a vassal can stand still.
	State           string
	Since           time.Time
	Reason, Problem string
	Refused         bool
	Removed         bool
	Paused          bool
	// Specs are what others name by their index, each written by carry.Marshal: a
	// binary that knows more of a file than the one before adds that itself (see Adopt).
	// Wanted and Spec are -1 where there is none.
	Specs        [][]byte
	Wanted, Spec int
	Number       uint64
	Current      *CarriedGeneration
	Draining     []CarriedGeneration
	Failures     int
	Restarts     uint64
	Blocked      string
	Failure      *Failure
	Hook         *HookFailure
	FromSleep    bool
	KeptAwake    string
	SelfBound    string
	RetryAt      time.Time
	// Last and Own are the lines that are shown.
	Last []logs.Line
	Own  map[uint64][]logs.Line
	// Woken, Idle and Moved came while it stood still.
	Woken string
	Idle  bool
	Moved bool
	// Beside are the daemons and runs of cron jobs, Jobs their lines. Helpers are other
	// processes beside the generations, which are ended.
	Beside  []CarriedHelper
	Jobs    []CarriedJob
	Helpers []proc.Carried
	// Errands is how many were started: their marks are not to be used again.
	Errands uint64
}

// CarriedGeneration is a generation that is ready, or was.
type CarriedGeneration struct {
	Number uint64
	Spec   int
	// ReadyAt, and LeftAt when it drains: from then on for Drain.
	ReadyAt, LeftAt    time.Time
	Drain              time.Duration
	Leaving            bool // it was told to finish what it has
	Retired, Hurrying  bool
	SelfBound, Revived bool
	Loyal              bool
	Beats              bool   // it has promised a heartbeat
	Group              string // its control group; empty: none of its own
	Serving, Contested []string
	WokenBy            string
	Body               CarriedBody
}

// CarriedBody is what a generation consists of. Which fields count depends on its kind.
type CarriedBody struct {
	Processes []CarriedCopy
	Listeners []sockets.CarriedListener
	Output    *logs.Carried
	// Of a uWSGI: our end of its control socket, reports that were read and not acted
	// upon, whether its workers accept, pid files that we wrote.
	Control  int
	Reports  []byte
	Accepts  bool
	PIDFiles []string
	// Log are the files that are touched to order something about the log that it writes.
	Log []int
	// Of a command.
	Notify   *sysd.CarriedSocket
	Port     int
	At       string
	ByPort   bool
	Reason   string
	Retiring bool
	Failures int
	// Folder and its parent, of a folder that is served.
	Folder []int
}

// CarriedCopy is one process of a generation.
type CarriedCopy struct {
	Copy    int
	Started time.Time
	Process proc.Carried
}

// recall makes its times those of c. Those that are only shown, and those of cron jobs,
// are the wall clock's and stay.
func (c *Carried) recall(to clock.Clock) {
	recall := c.Written.Recall(to)
	set := func(times ...*time.Time) {
		for _, t := range times {
			*t = recall(*t)
		}
	}
	of := func(g *CarriedGeneration) {
		set(&g.ReadyAt, &g.LeftAt)
		for i := range g.Body.Processes {
			set(&g.Body.Processes[i].Started)
		}
	}
	set(&c.Since, &c.RetryAt)
	if c.Failure != nil {
		set(&c.Failure.At)
	}
	if c.Hook != nil {
		set(&c.Hook.At)
	}
	if c.Current != nil {
		of(c.Current)
	}
	for i := range c.Draining {
		of(&c.Draining[i])
	}
	for i := range c.Beside {
		set(&c.Beside[i].Began)
	}
}

// Descriptors are all that it needs.
func (c *Carried) Descriptors() []int {
	var out []int
	if c.Current != nil {
		out = c.Current.Body.descriptors(out)
	}
	for i := range c.Draining {
		out = c.Draining[i].Body.descriptors(out)
	}
	for i := range c.Beside {
		if o := c.Beside[i].Output; o != nil {
			out = append(out, o.Read, o.Write)
		}
	}
	return out
}

func (b *CarriedBody) descriptors(out []int) []int {
	for _, l := range b.Listeners {
		out = append(out, l.FD)
	}
	if b.Output != nil {
		out = append(out, b.Output.Read, b.Output.Write)
	}
	if b.Control >= 0 {
		out = append(out, b.Control)
	}
	if b.Notify != nil {
		out = append(out, b.Notify.FD)
	}
	return append(append(out, b.Log...), b.Folder...)
}

// Processes are all of it, those of its helpers among them.
func (c *Carried) Processes() []proc.Carried {
	out := append([]proc.Carried{}, c.Helpers...)
	for i := range c.Beside {
		out = append(out, c.Beside[i].Process)
	}
	of := func(g *CarriedGeneration) {
		for _, p := range g.Body.Processes {
			out = append(out, p.Process)
		}
	}
	if c.Current != nil {
		of(c.Current)
	}
	for i := range c.Draining {
		of(&c.Draining[i])
	}
	return out
}

// WantedSpec is the spec that the vassal was given last; nil if it was given none, or
// if it cannot be read. base has what the writer may not have known, see Adopt.
func (c *Carried) WantedSpec(base *spec.Spec) *spec.Spec {
	specs, err := c.readSpecs(base)
	if err != nil || c.Wanted < 0 || c.Wanted >= len(specs) {
		return nil
	}
	return specs[c.Wanted]
}
