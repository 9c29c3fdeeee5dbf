package logsink

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// closeTime is how long a sink that nobody needs any more may take to write what
	// it has.
	closeTime = 5 * time.Second
	// largestRemote is what uWSGI's rsyslog plugin sends at most, and largestLocal what
	// syslog daemons take.
	largestRemote = 1024
	largestLocal  = 8 << 10
)

// Destination is a sink and the form in which a vassal's lines go there.
type Destination struct {
	Sink   *Sink
	Format func() Format
}

// Set has the sinks of one emperor: those who name the same place, with the same
// rules and rights, share one. It is safe for concurrent use.
type Set struct {
	log  *slog.Logger
	main []Destination

	mu      sync.Mutex
	sinks   map[string]*shared // guarded by mu
	said    Complaints
	closers sync.WaitGroup
}

// shared is a sink and how many use it.
type shared struct {
	*Sink
	key   string
	users int
}

// NewSet makes a Set. main is where lines go that are given no other place; the Set
// does not close it.
func NewSet(log *slog.Logger, main []Destination) *Set {
	return &Set{log: log, main: main, sinks: map[string]*shared{}}
}

// NewSink makes the sink of a target that is not Stdio. log and lose are those of
// Options.
func (t Target) NewSink(log *slog.Logger, lose func(vassal string, lines uint64)) *Sink {
	return t.newSink(Options{Log: log, Lose: lose})
}

func (t Target) newSink(o Options) *Sink {
	o.Name = t.String()
	switch t.Kind {
	case File:
		o.Device = NewFile(t.Path, t.Rules, t.Hand, o.Log)
		o.Watched = t.Rules.TouchReopen+t.Rules.TouchRotate != ""
	case Socket, Syslog, Rsyslog, Journal:
		o.Framed = true
		o.Device = NewDatagrams(t.datagrams())
	default:
		panic("logsink: a sink of nothing")
	}
	return New(o)
}

func (t Target) datagrams() Datagrams {
	switch {
	case t.Kind == Rsyslog:
		return Datagrams{Network: "udp", Address: t.Address, Largest: largestRemote}
	case t.Kind == Syslog:
		return Datagrams{Network: "unixgram", Address: t.Path, Largest: largestLocal}
	case t.Address != "":
		return Datagrams{Network: "udp", Address: t.Address}
	}
	return Datagrams{Network: "unixgram", Address: t.Path, LargeByFile: t.Kind == Journal}
}

// Format is the form in which lines go there. named: the place is that of many, and
// each line says whose it is.
func (t Target) Format(named bool) Format {
	switch {
	case t.Kind == Syslog:
		return NewSyslog(t.Name, t.Facility, named)
	case t.Kind == Rsyslog:
		return NewRemoteSyslog(t.Name, named)
	case t.Kind == Journal:
		return NewJournal()
	case t.JSON:
		return NewJSON()
	case t.Kind == Socket:
		return NewPrefixed(t.Name, named)
	case named:
		return NewText(true)
	case t.Dated:
		if f, err := NewDated(t.Date); err == nil {
			return f
		}
	}
	return nil
}

// key tells targets apart that need sinks of their own.
func (t Target) key() string {
	return fmt.Sprintf("%d %q %q %q %+v", t.Kind, t.Path, t.Address, t.Hand, t.Rules)
}

// Outlet is where the output of one generation of a vassal goes.
type Outlet struct {
	set     *Set
	sources []*Source
	own     []*shared
}

// Outlet opens the targets; without one, the lines go where the emperor's go.
func (s *Set) Outlet(vassal string, targets []Target) *Outlet {
	o := &Outlet{set: s}
	if len(targets) == 0 {
		targets = []Target{{}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range targets {
		if t.Kind == Stdio {
			for _, d := range s.main {
				o.sources = append(o.sources, d.Sink.Source(vassal, d.Format()))
			}
			continue
		}
		key := t.key()
		k := s.sinks[key]
		if k == nil {
			k = &shared{Sink: t.newSink(Options{Log: s.log, Complaints: &s.said}), key: key}
			s.sinks[key] = k
		}
		k.users++
		o.own = append(o.own, k)
		o.sources = append(o.sources, k.Source(vassal, t.Format(false)))
	}
	return o
}

// Write brings lines, each with its line feed, to all places. m is changed.
func (o *Outlet) Write(m *Message, lines []byte) {
	for _, s := range o.sources {
		s.Write(m, lines)
	}
}

// Close ends the outlet; what it was given is still written.
func (o *Outlet) Close() {
	for _, s := range o.sources {
		s.Close()
	}
	o.set.mu.Lock()
	defer o.set.mu.Unlock()
	for _, k := range o.own {
		if k.users--; k.users == 0 {
			delete(o.set.sinks, k.key)
			o.set.closers.Go(func() { k.Sink.Close(closeTime) })
		}
	}
	o.own = nil
}

// Sinks are those of the outlet's own places.
func (o *Outlet) Sinks() []*Sink {
	o.set.mu.Lock()
	defer o.set.mu.Unlock()
	out := make([]*Sink, 0, len(o.own))
	for _, k := range o.own {
		out = append(out, k.Sink)
	}
	return out
}

// Sinks are all: the emperor's, and those of vassals.
func (s *Set) Sinks() []*Sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Sink
	for _, d := range s.main {
		out = append(out, d.Sink)
	}
	for _, k := range s.sinks {
		out = append(out, k.Sink)
	}
	return out
}

// Close waits, at most that long, until what outlets were given is written. All outlets
// must have been closed.
func (s *Set) Close(within time.Duration) {
	done := make(chan struct{})
	go func() { // ends with the last sink: that of a place that hangs with the place
		s.closers.Wait()
		close(done)
	}()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
