// Package logs is what a vassal and its helpers write: the pipe that is stdout and stderr of
// a generation, a daemon or a hook (Capture), the last lines of it and those who follow them
// (Output), and the logs of the vassal's own that it goes to. Files, syslog and the journal
// themselves are package logsink's.
//
// The one idea: the pipe is always read, whatever becomes of the lines, so that a program
// that writes is never held up for long; and nothing that was written before a process's end
// is lost (Capture.Settle). carried.go hands a pipe, with the line that is in the middle of
// it, to the emperor's next binary.
package logs

import (
	"slices"
	"strings"
	"sync"
	"time"

	"emperor/internal/logsink"
	"emperor/vassal/clock"
)

const (
	// MaxLine is how many bytes of an output line are shown; log files have more of it
	// (logsink.MaxLine).
	MaxLine = 8192
	// keptLines is how many lines a vassal's status shows, and how many are kept of
	// each generation.
	keptLines = 20
	// followerLines is how far a reader of Follow may fall behind.
	followerLines = 256
)

// Output is everything a vassal writes: the last lines, those who follow them, and
// the logs that they go to. Safe for concurrent use.
type Output struct {
	name  string
	logs  *logsink.Set
	clock clock.Clock

	mu   sync.Mutex // guards what follows
	last []Line     // at most keptLines, oldest first
	// own is the same of each generation that has not ended: one that talks much
	// must not push out the last words of another.
	own       map[uint64][]Line
	followers map[chan Line]bool
	closed    bool
	keepers   []Keeper
}

// Keeper is a generation, as far as its logs are concerned.
type Keeper interface{ KeptLogs() []File }

// NewOutput is that of a vassal; lines go to the logs, too.
func NewOutput(name string, logs *logsink.Set, clock clock.Clock) *Output {
	return &Output{name: name, logs: logs, clock: clock, followers: map[chan Line]bool{}, own: map[uint64][]Line{}}
}

// Add takes whole lines. It never waits for a follower.
func (o *Output) Add(generation uint64, lines []byte) {
	now := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.followers) == 0 {
		lines = tail(lines, keptLines) // nobody sees the others
	}
	logsink.Each(lines, func(text []byte) {
		if len(text) > MaxLine {
			text = text[:MaxLine]
		}
		line := Line{Time: now, Generation: generation, Text: strings.ToValidUTF8(string(text), "\uFFFD")}
		o.last = keep(o.last, line)
		if generation != 0 { // of a daemon, which belongs to none
			o.own[generation] = keep(o.own[generation], line)
		}
		for follower := range o.followers {
			select {
			case follower <- line:
			default:
			}
		}
	})
}

// tail is the last n of some lines.
func tail(lines []byte, n int) []byte {
	for i := len(lines) - 2; i >= 0; i-- {
		if lines[i] == '\n' {
			if n--; n == 0 {
				return lines[i+1:]
			}
		}
	}
	return lines
}

// keep adds a line to the last ones.
func keep(lines []Line, line Line) []Line {
	if len(lines) == keptLines {
		copy(lines, lines[1:])
		lines = lines[:keptLines-1]
	}
	return append(lines, line)
}

// Forget drops the lines of a generation that has ended, as far as they are not
// among the last ones of all.
func (o *Output) Forget(generation uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.own, generation)
}

// Lines are the last lines; of one generation, or of all for 0.
func (o *Output) Lines(generation uint64) []Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	if own, ok := o.own[generation]; ok {
		return slices.Clone(own)
	}
	// It has ended: of its lines there is what others have left room for.
	return slices.DeleteFunc(slices.Clone(o.last), func(l Line) bool { return generation != 0 && l.Generation != generation })
}

// Follow gives the last lines and a channel of the coming ones, see vassal.Follow.
func (o *Output) Follow() (last []Line, coming <-chan Line, stop func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch := make(chan Line, followerLines)
	last = append(last, o.last...)
	if o.closed {
		close(ch)
		return last, ch, func() {}
	}
	o.followers[ch] = true
	return last, ch, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.followers[ch] {
			delete(o.followers, ch)
			close(ch)
		}
	}
}

// Close ends all followers.
func (o *Output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for ch := range o.followers {
		delete(o.followers, ch)
		close(ch)
	}
}

// Keeps notes that a generation has logs of its own.
func (o *Output) Keeps(k Keeper) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepers = append(o.keepers, k)
}

// Dropped notes that it has ended.
func (o *Output) Dropped(k Keeper) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepers = slices.DeleteFunc(o.keepers, func(other Keeper) bool { return other == k })
}

// File is a log that can be told what to do with its file. The answer comes when
// that is done.
type File interface {
	Reopen() <-chan error
	Rotate() <-chan error
}

// Line is one line of output.
type Line struct {
	Time       time.Time
	Generation uint64
	Text       string // without the end of line, cut at MaxLine bytes
}

// LogFiles are those that belong to the generations, and not to the emperor.
func (o *Output) LogFiles() []File {
	o.mu.Lock()
	keepers := slices.Clone(o.keepers)
	o.mu.Unlock()
	var out []File
	for _, k := range keepers {
		out = append(out, k.KeptLogs()...)
	}
	return out
}
