package control

import (
	"context"
	"iter"
	"time"
)

// Emperor is what the server asks of the program. All methods may be called from
// many goroutines at once and must not hold one another up.
type Emperor interface {
	// Status is the whole state now. It must be cheap: it may be asked each second.
	Status() Status
	// Vassal is one vassal's state with its last log lines; ok is false if there is
	// none of that name (exactly: near and partial names are settled before).
	Vassal(name string) (s VassalStatus, ok bool)
	// Order carries out o and returns when it is done or has failed, with the reason
	// a person can act on. When ctx ends the caller has gone away; the order stands.
	Order(ctx context.Context, name string, o Order) error
	// Logs yields the kept lines of a vassal, oldest first, and with follow each new
	// one until ctx ends. It ends when the vassal is removed.
	Logs(ctx context.Context, name string, follow bool) iter.Seq[LogLine]
	// OrderLogs has log files opened anew or, with rotate, rotated: those of one vassal, or
	// all for an empty name.
	OrderLogs(ctx context.Context, name string, rotate bool) error
	// Events yields the last events, oldest first, and with follow each new one until
	// ctx ends.
	Events(ctx context.Context, follow bool) iter.Seq[Event]
	// Certificates are those that the front has or is to have, sorted by Name. It may
	// take as long as reading all of them does.
	Certificates() []Certificate
	// Upgrade replaces the emperor by another binary, in place; an empty name is that of
	// its own. patience is how long that may take to say that it can. It returns, with an error, only if nothing came of it: otherwise the other
	// binary answers at the descriptor (AnswerUpgrade).
	Upgrade(ctx context.Context, binary string, patience time.Duration, answer int) error
	// ReloadMain reads the main file again and returns when it holds, or why it was not
	// applied. Where the emperor's own file was replaced that one takes over first, and
	// answers as for Upgrade.
	ReloadMain(ctx context.Context, answer int) error
	// OrderCertificate has a certificate authority issue one, or a new one, now, and
	// returns when it has or why it has not.
	OrderCertificate(ctx context.Context, name string) error
}

// Order is something an operator may want of one vassal.
type Order string

// The orders. Start, Stop and Restart are literal; Reload makes a new generation
// take over from the old one. Pause lets new requests wait in the front until Resume.
const (
	Start   Order = "start"
	Stop    Order = "stop"
	Reload  Order = "reload"
	Restart Order = "restart"
	Pause   Order = "pause"
	Resume  Order = "resume"
)

// Orders are all of them.
var Orders = []Order{Start, Stop, Reload, Restart, Pause, Resume}

// orderWords are they in a sentence.
const orderWords = "start, stop, reload, restart, pause or resume"

// Status is the state of a running emperor.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	// Config is the main file, as it was named.
	Config string `json:"config,omitempty"`
	// Front stands for what the front was told: rules, options and listeners. Another
	// value, another front; see `emperor plan`.
	Front string `json:"front,omitempty"`
	// Problems are the mistakes for which the last edit of the main file was not
	// applied, each as "file:line: text"; empty when what runs is what is written.
	Problems []string `json:"problems,omitempty"`
	// Router is nil where no front was asked for.
	Router *RouterStatus `json:"router,omitempty"`
	// Vassals are sorted by Name and come without Log.
	Vassals []VassalStatus `json:"vassals"`
}

// RouterStatus is the front as the emperor sees it.
type RouterStatus struct {
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason,omitempty"`
	PID       int       `json:"pid,omitempty"`
	Restarts  int       `json:"restarts"`
	Requests  uint64    `json:"requests,omitempty"` // that it has answered since it started
	Listeners []string  `json:"listeners,omitempty"`
}

// VassalStatus is the state of one vassal.
type VassalStatus struct {
	Name string `json:"name"`
	File string `json:"file"`
	// FilePrint stands for the file, and those it includes, as they were when they
	// were read last, SpecPrint for what it came to with the main file of then. Equal
	// values, nothing to do; see `emperor plan`.
	FilePrint string `json:"file_print,omitempty"`
	SpecPrint string `json:"spec_print,omitempty"`
	// Kind is "uwsgi", "command" or "static"; KindReason is what in the file says so.
	Kind       string `json:"kind"`
	KindReason string `json:"kind_reason,omitempty"`
	// State is one of DESIGN's: asleep, starting, ready, loyal, paused, reloading,
	// stopping, stopped, failed. Reason says why in words, Since from when on.
	State      string    `json:"state"`
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason,omitempty"`
	Generation uint64    `json:"generation"`
	PIDs       []int     `json:"pids,omitempty"`
	// Starting is the generation on its way up, with its processes.
	Starting     uint64 `json:"starting,omitempty"`
	StartingPIDs []int  `json:"starting_pids,omitempty"`
	// Restarts counts the times it came back without being asked to.
	Restarts int `json:"restarts"`
	// Requests is how many the front has given it since the router started.
	Requests uint64 `json:"requests,omitempty"`
	// Retry is when the emperor tries again; zero if it does not wait.
	Retry   time.Time `json:"retry,omitzero"`
	Sockets []string  `json:"sockets,omitempty"`
	// Folder is what a static vassal serves. Its Sockets are only names, by which rules
	// find it.
	Folder string `json:"folder,omitempty"`
	// Overlap tells whether two generations may run side by side, and what in the
	// file says no.
	Overlap       bool   `json:"overlap"`
	OverlapReason string `json:"overlap_reason,omitempty"`
	// Awake is why a vassal that may sleep does not, and when it will; OnDemand is what
	// makes it wait for the first request, Idle after how many seconds without one it is
	// put to sleep.
	Awake    string  `json:"awake,omitempty"`
	OnDemand string  `json:"on_demand,omitempty"`
	Idle     float64 `json:"idle,omitempty"`
	// Health is nil where nobody looks: without health-path and heartbeat.
	Health *Health `json:"health,omitempty"`
	// Daemons and Crons run beside it.
	Daemons []DaemonStatus `json:"daemons,omitempty"`
	Crons   []CronStatus   `json:"crons,omitempty"`
	// Hook is the last hook of the main file that failed since the last start although
	// nothing came of it; one that keeps a vassal from starting is its Reason.
	Hook *HookFailure `json:"hook,omitempty"`
	// Problems say why the file's last edit was not carried out, its mistakes each as
	// "file:line: text". What runs, if anything does, is from before it.
	Problems []string `json:"problems,omitempty"`
	// Warnings are what the file says that can hardly be meant so: a mistyped option
	// may be why a generation did not come up.
	Warnings []string `json:"warnings,omitempty"`
	// Failure is the last generation that did not come up or died, until a change or
	// an order has been carried out.
	Failure *Failure `json:"failure,omitempty"`
	// Log are the last lines, oldest first.
	Log []LogLine `json:"log,omitempty"`
}

// Failure is the end of a generation that nobody asked to end.
type Failure struct {
	Generation uint64    `json:"generation"`
	At         time.Time `json:"at"`
	How        string    `json:"how"`
	// Log are its own last lines, oldest first.
	Log []LogLine `json:"log,omitempty"`
}

// HookFailure is a hook that failed: its option, with file and line, and how.
type HookFailure struct {
	At  time.Time `json:"at"`
	How string    `json:"how"`
}

// LogLine is one line a vassal wrote or the emperor wrote about it.
type LogLine struct {
	Time time.Time `json:"time"`
	// Stream is "stdout", "stderr" or "emperor"; "" where the vassal's two are one.
	Stream     string `json:"stream,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	Text       string `json:"text"`
}
