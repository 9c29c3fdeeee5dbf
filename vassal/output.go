package vassal

import (
	"slices"
	"strings"
	"sync"

	"emperor/internal/logsink"
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

// output is everything a vassal writes: the last lines, those who follow them, and
// the logs that they go to. Safe for concurrent use.
type output struct {
	name  string
	logs  *logsink.Set
	clock Clock

	mu   sync.Mutex // guards what follows
	last []Line     // at most keptLines, oldest first
	// own is the same of each generation that has not ended: one that talks much
	// must not push out the last words of another.
	own       map[uint64][]Line
	followers map[chan Line]bool
	closed    bool
	keepers   []logKeeper
}

// logKeeper is a generation, as far as its logs are concerned.
type logKeeper interface{ keptLogs() []LogFile }

func newOutput(name string, logs *logsink.Set, clock Clock) *output {
	return &output{name: name, logs: logs, clock: clock, followers: map[chan Line]bool{}, own: map[uint64][]Line{}}
}

// add takes whole lines. It never waits for a follower.
func (o *output) add(generation uint64, lines []byte) {
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

// forget drops the lines of a generation that has ended, as far as they are not
// among the last ones of all.
func (o *output) forget(generation uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.own, generation)
}

// lines are the last lines; of one generation, or of all for 0.
func (o *output) lines(generation uint64) []Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	if own, ok := o.own[generation]; ok {
		return slices.Clone(own)
	}
	// It has ended: of its lines there is what others have left room for.
	return slices.DeleteFunc(slices.Clone(o.last), func(l Line) bool { return generation != 0 && l.Generation != generation })
}

func (o *output) follow() (last []Line, coming <-chan Line, stop func()) {
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

// close ends all followers.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for ch := range o.followers {
		delete(o.followers, ch)
		close(ch)
	}
}

// keeps notes that a generation has logs of its own, dropped that it has ended.
func (o *output) keeps(k logKeeper) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepers = append(o.keepers, k)
}

func (o *output) dropped(k logKeeper) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keepers = slices.DeleteFunc(o.keepers, func(other logKeeper) bool { return other == k })
}

// LogFile is a log that can be told what to do with its file. The answer comes when
// that is done.
type LogFile interface {
	Reopen() <-chan error
	Rotate() <-chan error
}

// LogFiles are those of the vassal that are its own. Two vassals may share one.
func (v *Vassal) LogFiles() []LogFile {
	v.output.mu.Lock()
	keepers := slices.Clone(v.output.keepers)
	v.output.mu.Unlock()
	var out []LogFile
	for _, k := range keepers {
		out = append(out, k.keptLogs()...)
	}
	return out
}
