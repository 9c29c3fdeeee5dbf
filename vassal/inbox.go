package vassal

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"emperor/internal/config"
	"emperor/vassal/spec"
)

// messageKind says what a message is about.
type messageKind uint8

const (
	machineEvent      messageKind = iota // event (generation, err)
	wanted                               // spec
	refused                              // problems
	ordered                              // order, reply
	died                                 // generation, death
	cursed                               // generation
	becameLoyal                          // generation
	pidsChanged                          //
	generationEnded                      // generation
	backOffOver                          // generation: the number of the back-off
	drainsLong                           // a generation has been draining for longDraining
	socketFreed                          // address
	folderMoved                          // generation
	wokenUp                              // by
	saidIdle                             // generation
	staysBusy                            // generation, by: what keeps it awake
	foundUnhealthy                       // generation, unhealthy
	heartbeatPromised                    // generation
	fellSilent                           // generation
	healthChanged                        // the last inspection is another
	forgiven                             //
	helpersChanged                       // by: a daemon has ended that ends the vassal
	lifeEnded                            // err: how its last hooks failed
	rehearsed                            // rehearsal, generation, err
	pauseAsked                           // standing; this and the next three: see pausing.go
	resumeAsked                          //
	describeAsked                        // described
	standAgain                           //
	keysChanged                          // what it announces stands in a file, which was changed
)

// message is what the owner of the state is told. Those about a generation
// carry its number: by the time they are read it may be another one's turn.
type message struct {
	kind       messageKind
	event      Event
	generation uint64
	err        error
	death      death
	spec       *spec.Spec
	seen       time.Time
	address    string
	by         string
	problems   config.Problems
	order      Order
	reply      chan error
	rehearsal  *rehearsal
	unhealthy  *unhealthy
	standing   chan struct{}
	described  chan described
}

// inbox is a queue without end: who tells a vassal something never waits.
type inbox struct {
	mu    sync.Mutex
	queue []message
	ready chan struct{} // has one entry when the queue is not empty
}

func (v *Vassal) send(m message) {
	v.inbox.mu.Lock()
	v.inbox.queue = append(v.inbox.queue, m)
	v.inbox.mu.Unlock()
	select {
	case v.inbox.ready <- struct{}{}:
	default:
	}
}

func (i *inbox) take() []message {
	i.mu.Lock()
	defer i.mu.Unlock()
	q := i.queue
	i.queue = nil
	return q
}

// handle turns a message into an event of the machine, or drops what is about a
// generation whose time is over.
func (v *Vassal) handle(m message) {
	if v.state == Gone { // it was told more than one thing at once
		v.answerLate(m)
		return
	}
	if v.heldBack(m) {
		return
	}
	switch m.kind {
	case wanted:
		v.handleWanted(m)
	case refused:
		v.refused = true
		v.problem = strings.TrimSpace(m.problems.Errors().String())
		v.log.Error("the file has mistakes; "+v.unaffected(), "err", m.problems.Err())
		v.step(Refused, m)
		v.reply(OrderReload, errors.New(v.problem))
	case ordered:
		v.handleOrder(m)
	case died:
		v.handleDied(m)
	case cursed:
		v.handleCursed(m)
	case becameLoyal:
		for _, g := range []*generation{v.current, v.candidate} {
			if g != nil && g.number == m.generation {
				g.loyal = true
			}
		}
	case wokenUp:
		v.handleWoken(m)
	case saidIdle:
		if v.current != nil && v.current.number == m.generation {
			v.watchUse(true)
		}
	case staysBusy:
		if v.current != nil && v.current.number == m.generation {
			v.keptAwake = m.by
		}
	case forgiven:
		v.handleForgiven()
	case foundUnhealthy, heartbeatPromised, healthChanged, fellSilent:
		v.handleHealth(m)
	case pidsChanged:
	case keysChanged:
		v.publish()
	case helpersChanged:
		v.handleHelpers(m)
	case lifeEnded:
		v.handleLifeEnded(m)
	case rehearsed:
		v.handleRehearsed(m)
	case generationEnded:
		if g := v.draining[m.generation]; g != nil && g.stopAging != nil {
			g.stopAging()
		}
		delete(v.draining, m.generation)
		v.output.Forget(m.generation)
		v.releaseSockets()
		v.checkEnded()
	case backOffOver:
		switch {
		case m.generation != v.backOff || v.state != Failed:
		case v.maySleep():
			v.goToSleep(BackOffOver, m)
		default:
			v.step(BackOffElapsed, m)
		}
	case drainsLong:
		v.limitDraining()
	case socketFreed:
		v.handleFreed(m)
	case folderMoved:
		switch {
		case v.state == Switching && v.candidate != nil && v.candidate.number == m.generation:
			v.postponed = append(v.postponed, m) // the router knows of it before we do
		case v.state == Ready && v.current.number == m.generation && !v.halted:
			v.step(FolderMoved, m)
		}
	case machineEvent:
		v.handleEvent(m)
	}
}

// unaffected says what becomes of a vassal whose file has mistakes.
func (v *Vassal) unaffected() string {
	switch {
	case v.current != nil:
		return "what runs stays"
	case v.state == Asleep:
		return "it sleeps on"
	case v.candidate != nil:
		return "what is being started goes on"
	}
	return "it does not run"
}

// handleFreed goes on where another vassal had the socket: there is no need to
// wait for the end of the back-off, or for the next edit.
func (v *Vassal) handleFreed(m message) {
	if m.address != v.blocked || v.blocked == "" || v.refused {
		return
	}
	v.blocked = ""
	switch {
	case v.state == Failed:
		v.spec = v.wanted
		if v.maySleep() {
			v.goToSleep(WantedAsleep, m)
			return
		}
		v.step(SocketFreed, m)
	case v.current != nil, v.state == Asleep:
		v.handleWanted(message{kind: wanted, spec: v.wanted})
	}
}

func (v *Vassal) handleEvent(m message) {
	switch m.event {
	case BecameReady, StartFailed, HandedOver, HandOverFailed:
		if v.candidate == nil || v.candidate.number != m.generation {
			return // abandoned meanwhile
		}
		if m.event == BecameReady {
			if why := v.candidate.body.alone(); why != "" {
				v.selfBound = why
			}
		}
		if m.event == BecameReady && v.state == Starting {
			if err := v.candidate.body.promote(); err != nil {
				m.event, m.err = StartFailed, err
				v.candidate.hurry()
				v.candidate.askToLeave(0, 0)
			}
		}
	case Outgrown:
		if v.state != Ready || v.current.number != m.generation || v.halted {
			return // it is replaced anyway
		}
		v.log.Warn("a new generation takes over, because it has grown", "gen", m.generation, "why", m.by)
		if !v.mayOverlap(v.spec) {
			m.event = OutgrownAlone
		}
	case GrownIdle:
		if v.current == nil || v.current.number != m.generation {
			return
		}
		if v.state != Ready || v.halted {
			v.current.awake <- "it is about to be replaced"
			return
		}
	case FellAsleep, StaysAwake:
		if v.state != Dozing {
			return
		}
	case Halted:
		v.halt()
	case Shutdown:
		v.shutdown = true
		v.halt()
		v.reply("", errStopping)
	case Removed:
		v.removed = true
	}
	if m.event == StartFailed && v.halted && v.state == Starting {
		m.event = StartFailedLast
	}
	v.step(m.event, m)
}

// halt makes deaths final, also those of single processes.
func (v *Vassal) halt() {
	v.halted = true
	for _, g := range v.draining {
		g.body.halt()
	}
	for _, g := range []*generation{v.current, v.candidate} {
		if g != nil {
			g.body.halt()
		}
	}
}

func (v *Vassal) handleWanted(m message) {
	if v.halted {
		return
	}
	if v.spec == nil || v.spec.Command.Line != m.spec.Command.Line {
		v.selfBound = "" // perhaps it takes its socket now
	}
	before := v.spec
	v.wanted, v.spec, v.refused, v.problem, v.removed, v.blocked = m.spec, m.spec, false, "", false, ""
	v.sockets.Leave(v.name, false)
	event := Wanted
	switch {
	case !v.maySleep():
	case v.state == Stopped, v.state == Stopping:
		event = WantedAsleep
	default:
		if err := v.tryout(); err != nil && v.state == Asleep {
			v.problem = fmt.Sprintf("the change cannot be carried out: %v; it sleeps on as it was", err)
			v.log.Error("the change cannot be carried out, the vassal sleeps on as it was", "err", err)
			v.spec = before
			v.releaseSockets()
			v.awaitSocket(err)
			return
		}
		v.goToSleep(WantedAsleep, m)
		return
	}
	if v.current != nil && !v.mayOverlap(v.spec) {
		event = WantedAlone
		// The old generation will be gone when the new one starts: find out before
		// whether its sockets can be had.
		if err := v.tryout(); err != nil {
			m.err, m.generation = err, v.current.number
			v.problem = fmt.Sprintf("the change cannot be carried out: %v; generation %d goes on", err, v.current.number)
			v.log.Error("the change cannot be carried out, the old generation goes on", "err", err)
			v.spec = v.current.spec
			v.releaseSockets()
			v.awaitSocket(err)
			return
		}
	}
	if event == WantedAlone && v.rehearse(event, m) {
		return
	}
	v.seen = m.seen
	v.step(event, m)
	v.seen = time.Time{}
	if !m.seen.IsZero() && v.candidate != nil {
		v.candidate.visit() // whoever has edited the file waits for it
	}
}

func (v *Vassal) handleDied(m message) {
	switch {
	case v.state == Switching, v.state == Dozing:
		// Of the old one it does not matter any more; of the new one it does later.
		v.postponed = append(v.postponed, m)
		return
	case v.current == nil || v.current.number != m.generation:
		return
	}
	lived := v.clock.Now().Sub(v.current.readyAt)
	event := ExitedEarly
	if lived >= healthy {
		v.failures = 0
		if m.death.signal != syscall.SIGTERM {
			event = Exited
			if v.current.spec.OnDemand {
				event = ExitedAsleep
			}
		}
	}
	if v.halted {
		event = ExitedLast
	}
	m.err = fmt.Errorf("%s, %s after it was ready", m.death, roundedAge(lived))
	v.step(event, m)
}

func roundedAge(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
