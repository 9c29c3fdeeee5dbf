package emperor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"emperor/emperor/monitor"
	"emperor/internal/carry"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/proc"
	"emperor/internal/sysd"
	"emperor/vassal"
	"emperor/vassal/clock"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// State is what one binary of the emperor tells the next (emperor upgrade): all that is
// in memory and neither in a file nor in the kernel. It travels in an anonymous file.
type State struct {
	// Version is that of the writer, Shape of its idea of a vassal's file.
	Version, Shape string
	// PID and Start are ours: a state is for the process that wrote it.
	PID   int
	Start uint64
	Since time.Time
	// Written is when this was.
	Written clock.Moment

	// Source to Front are the main file that holds.
	Source       Source
	Lines        []config.Value
	File         string
	ReadFrom     []string
	Placeholders map[string]bool
	Files        []string
	MainPrint    monitor.Fingerprint
	Problems     config.Problems
	Refused      bool // the file as it is now has mistakes
	Front        link.Configuration

	// Binary is where the next binary is looked for, BinaryBefore where it was if this one
	// is none; Old is a descriptor of the writer's.
	Binary, BinaryBefore string
	Old                  int

	Listeners []CarriedListener
	Inherited []sysd.Inherited
	Control   CarriedControl
	Router    CarriedRouter
	Sockets   sockets.Carried
	Vassals   []CarriedEntry
	Answers   []CarriedAnswer
	// Challenges are what certificate authorities may ask for just now.
	Challenges []link.Challenge

	// Reply is the connection of who asked for the upgrade, -1: nobody waits. Reload: the
	// main file is to be read again afterwards. Signals came meanwhile.
	Reply   int
	Reload  bool
	Signals []int
	Ready   bool
}

// CarriedListener is one of the front's.
type CarriedListener struct {
	Listener  link.Listener
	FD        int
	Path      string
	Inherited bool
}

// CarriedControl is the control socket; an FD of -1: there is none.
type CarriedControl struct {
	FD   int
	Path string
}

// CarriedRouter is the router and those that finish what they have.
type CarriedRouter struct {
	Live       *CarriedRouterProcess
	Draining   []CarriedRouterProcess
	Generation uint64
	MayRead    bool
	Restarts   int
	Table      uint64 // number of the last one
	Announced  []byte
	Tickets    []byte
}

// CarriedRouterProcess is one router.
type CarriedRouterProcess struct {
	Process proc.Carried
	Peer    link.CarriedPeer
	Started time.Time
	MayRead bool
	Output  int
	Rest    []byte // of a line that has not ended
}

// CarriedEntry is a vassal of the registry.
type CarriedEntry struct {
	Name                    string
	Item                    monitor.Item
	Includes                []string
	Print, Seen             monitor.Fingerprint
	Problems                config.Problems
	Refused, Leaving, Known bool // Known: it has been given a spec
	Unread                  bool
	Attempts                int
	Edited                  time.Time
	// After is whose socket it waits for, and Spec what it will be given then.
	After string
	Spec  []byte
	// Vassal is nil for one that has ended.
	Vassal *vassal.Carried
}

// CarriedAnswer is what emperor-on-demand-exec has said.
type CarriedAnswer struct {
	Path    string
	Command string
	Stamp   monitor.Stamp
	Text    string
}

// stateHead begins a state. The number is that of its form: another one is not
// understood, whatever it holds. Fields may be added without another number.
const stateHead = "emperor state 1\n"

// largestState bounds what is read of one.
const largestState = 1 << 30

// recall makes its times those of this process, should the clock have been set meanwhile.
func (s *State) recall() {
	recall := s.Written.Recall(clock.System{})
	s.Since = recall(s.Since)
	if s.Router.Live != nil {
		s.Router.Live.Started = recall(s.Router.Live.Started)
	}
}

// encode writes the state to an anonymous file and returns its descriptor.
func (s *State) encode() (fd int, err error) {
	text, err := carry.Marshal(s)
	if err != nil {
		return -1, err
	}
	if fd, err = unix.MemfdCreate("state", unix.MFD_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	text = append([]byte(stateHead), text...)
	for at := 0; at < len(text); {
		n, err := unix.Pwrite(fd, text[at:], int64(at))
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("writing down the state: %w", err)
		}
		at += n
	}
	return fd, nil
}

// ReadState reads the state from a descriptor, which stays open.
func ReadState(fd int) (*State, error) {
	text, err := io.ReadAll(io.NewSectionReader(stateFile(fd), 0, largestState))
	if err != nil {
		return nil, fmt.Errorf("the state cannot be read: %w", err)
	}
	return decodeState(text)
}

func decodeState(text []byte) (*State, error) {
	rest, ok := bytes.CutPrefix(text, []byte(stateHead))
	if !ok {
		line, _, _ := bytes.Cut(text[:min(len(text), 40)], []byte("\n"))
		return nil, fmt.Errorf("the state begins with %q, which this emperor does not understand (want %q)", line, stateHead)
	}
	s := &State{}
	if err := carry.Unmarshal(rest, s); err != nil {
		return nil, fmt.Errorf("the state: %w", err)
	}
	return s, nil
}

// stateFile reads a raw descriptor without an os.File, whose finalizer would close it.
type stateFile int

func (f stateFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := unix.Pread(int(f), b, at)
	if n == 0 && err == nil && len(b) > 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

// mine tells why the state is not for this process; nil: it is.
func (s *State) mine() error {
	if s.PID != os.Getpid() || s.Start != proc.StartTime(s.PID) {
		return errors.New("the state is another process's")
	}
	return nil
}

// Main makes the main file that holds of what the state says of it.
func (s *State) Main(r Reader) (*Main, config.Problems) {
	c := config.FromValues(r.Set, s.File, s.Lines)
	c.Files, c.UsedPlaceholders = s.ReadFrom, s.Placeholders
	return r.Restore(s.Source, c, s.Front)
}

// descriptors are all that the next binary needs, but for the state itself.
func (s *State) descriptors() []int {
	out := []int{s.Old}
	for _, l := range s.Listeners {
		out = append(out, l.FD)
	}
	for _, in := range s.Inherited {
		out = append(out, in.FD)
	}
	if s.Control.FD >= 0 {
		out = append(out, s.Control.FD)
	}
	if s.Reply >= 0 {
		out = append(out, s.Reply)
	}
	for _, p := range s.Router.processes() {
		out = append(append(out, p.Peer.FD, p.Output), p.Peer.Descriptors...)
	}
	for _, h := range s.Sockets.Held {
		out = append(out, h.Listener.FD)
	}
	for i := range s.Vassals {
		if v := s.Vassals[i].Vassal; v != nil {
			out = append(out, v.Descriptors()...)
		}
	}
	return slices.DeleteFunc(out, func(fd int) bool { return fd < 0 }) // of what has just ended
}

func (r *CarriedRouter) processes() []*CarriedRouterProcess {
	var all []*CarriedRouterProcess
	if r.Live != nil {
		all = append(all, r.Live)
	}
	for i := range r.Draining {
		all = append(all, &r.Draining[i])
	}
	return all
}

// mainState is the part of the state that is about the main file.
func mainState(m *Main, files []string) State {
	return State{
		Shape: spec.Shape(), Source: m.Source, Lines: m.Config.Values, File: m.Config.File, ReadFrom: m.Config.Files,
		Placeholders: m.Config.UsedPlaceholders, Files: files, Front: m.Front, Old: -1, Reply: -1, Control: CarriedControl{FD: -1},
	}
}

// Try tells why this binary could not take over from the one that wrote the state;
// nil: nothing speaks against it. It changes nothing.
func (s *State) Try(r Reader) error {
	m, problems := s.Main(r)
	if errs := problems.Errors(); len(errs) > 0 {
		return fmt.Errorf("the main file that holds: %s", errs)
	}
	if _, _, problems := r.Read(s.Source); !s.Refused && problems.Err() != nil {
		return fmt.Errorf("the main file: %s", problems.Errors())
	}
	if _, err := monitor.New(m.Monitor); err != nil {
		return err
	}
	var wrong []error
	for _, v := range s.Vassals {
		if got := m.read(v.Item, nil, ""); got.problems.Err() != nil {
			wrong = append(wrong, fmt.Errorf("vassal %s, which runs: %s", v.Name, got.problems.Errors()))
		}
	}
	return errors.Join(wrong...)
}
