package vassal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"emperor/vassal/clock"
	"emperor/vassal/probe"
	"emperor/vassal/spec"
)

// A vassal whose processes live may work no more: a lock that nobody gives back, an
// event loop that goes round in circles, a stopped process. With health-path it is
// asked again and again; a uWSGI that promised a heartbeat is asked when that stops.
//
// One with a harakiri is asked whether it answers at all when several requests in a row
// were given up, and nothing came from it meanwhile.
//
// Busy is not dead. A question that is not answered proves nothing while the router
// hears answers to others, or while a request is under way that may still be answered:
// then the question only waits behind visitors. And a question that is answered late
// was answered.
//
// Who is found to be unhealthy is replaced as after an edit: a new generation comes up
// beside it, gets the requests, and the old one may finish what it has.

// Inspection is what is known of a vassal's health; immutable.
type Inspection struct {
	Generation uint64
	// Question is what was asked last: "GET /health", "heartbeat", "any answer".
	Question string
	At       time.Time
	// Result is what came of it, after Took.
	Result string
	Took   time.Duration
	// Failures is how many questions in a row have failed; at Threshold it is replaced.
	Failures, Threshold int
	// Remark is why it is not replaced although it should be, or what was tried.
	Remark string
}

// unhealthy is what an inspector tells the vassal's loop.
type unhealthy struct {
	why     string
	answers bool // it does answer, but says that it is not well
	// since is the first of the failures in a row, wellSince the beginning of the time
	// before in which it was well; zero: it never was.
	since, wellSince time.Time
}

// inspector watches one generation's health, in a goroutine of its own.
type inspector struct {
	v     *Vassal
	g     *generation
	rules spec.Health
	// required is how long a heartbeat may fail to come; 0: none is awaited.
	required time.Duration
	// silent says that it has left requests without any answer; nil: it is asked anyway.
	silent <-chan struct{}

	failures  int
	bad       bool      // the last failure was an answer
	why       string    // and what it was
	since     time.Time // the first of the failures in a row
	wellSince time.Time // before it
	lastWell  time.Time // the last sign of life
	busy      bool      // it has answered others only since
	// unanswered is a question that a busy one has not answered yet: it waits behind
	// others, and to hang up would be an error to the program. nil: there is none.
	unanswered <-chan finding
	// What follows lives from the first failure in a row to the end of the row.
	asking  context.Context
	forget  context.CancelFunc
	answers chan finding  // of questions, however late
	heard   chan struct{} // something, by the router
}

// finding is what came of a question.
type finding struct {
	err  error
	took time.Duration
}

// watchHealth begins to watch the serving generation, if there is something to watch.
func (v *Vassal) watchHealth() {
	g := v.current
	rules := g.spec.Health
	if g.spec.Kind == spec.Static {
		return
	}
	now := v.clock.Now()
	i := &inspector{v: v, g: g, rules: rules, lastWell: now}
	switch {
	case g.inspected:
		return
	case rules.Path != "":
	case g.beat.Load() != nil:
		// Who promises a beat a minute cannot be required to send two.
		i.wellSince = now // a heartbeat says so
		i.required = max(v.defaults.Heartbeat, 2*rules.Heartbeat)
		i.rules = heartbeatRules(v.defaults.Heartbeat, rules)
	case rules.Harakiri > 0:
		i.wellSince = now // requests that are answered say so
		g.silent = make(chan struct{}, 1)
		i.silent = g.silent
	default:
		return
	}
	g.inspected = true
	v.whileServing(g, func(ctx context.Context) { i.run(ctx) })
}

// heartbeatRules are how a uWSGI is asked whose heartbeat has stopped: with the default
// of 30 seconds as others by the defaults of health-interval and health-timeout.
func heartbeatRules(required time.Duration, file spec.Health) spec.Health {
	between := func(least, d, most time.Duration) time.Duration { return min(max(least, d), most) }
	return spec.Health{
		Interval: between(time.Second, required/3, 10*time.Second), Timeout: between(time.Second, required/6, 5*time.Second),
		Threshold: 3, OnlyUsed: file.OnlyUsed,
	}
}

// vitals is what a generation knows of its health.
type vitals struct {
	// mustBeWell: it is not ready before it answers health-path better than the one
	// whose place it takes.
	mustBeWell bool
	heals      bool                      // it takes the place of one that is unhealthy
	inspected  bool                      // somebody watches it
	silent     chan struct{}             // holds one: it has left requests without any answer; nil: nobody asks
	beat       atomic.Pointer[time.Time] // the last heartbeat; nil: none is promised
}

// beats notes a uWSGI's heartbeat; the first one is a promise.
func (g *generation) beats() {
	now := g.v.clock.Now()
	g.v.lastBeat.Store(&now)
	if g.beat.Swap(&now) == nil {
		g.v.send(message{kind: heartbeatPromised, generation: g.number})
	}
}

// run asks as often as it takes, until ctx ends or the generation has died.
func (i *inspector) run(ctx context.Context) {
	defer i.forgetQuestions()
	for i.await(ctx) {
		if !i.round(ctx) {
			return
		}
	}
}

// await returns when the next question is due; false when there will be none.
func (i *inspector) await(ctx context.Context) bool {
	if i.failures > 0 && !i.pause(ctx, i.rules.Interval) || i.unanswered != nil && !i.awaitAnswer(ctx) {
		return false
	}
	if i.failures > 0 {
		return true
	}
	switch {
	case i.silent != nil:
		return i.awaitCuts(ctx)
	case i.required > 0:
		return i.awaitSilence(ctx)
	case i.rules.OnlyUsed:
		return i.awaitUse(ctx)
	}
	return i.pause(ctx, i.rules.Interval)
}

// awaitCuts returns when it has left requests without any answer.
func (i *inspector) awaitCuts(ctx context.Context) bool {
	select {
	case <-i.silent:
		return true
	case <-i.g.body.died():
	case <-ctx.Done():
	}
	return false
}

// pause waits for d, and takes the signs of life that come meanwhile.
func (i *inspector) pause(ctx context.Context, d time.Duration) bool {
	over, stop := clock.After(i.v.clock, d)
	defer stop()
	for {
		select {
		case <-over:
			return ctx.Err() == nil
		case a := <-i.answers:
			i.late(a)
		case <-i.heard:
			i.hear()
		case <-i.g.body.died():
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// awaitAnswer waits for the answer to the last question to a busy vassal, but not too
// long: it may have stopped to work meanwhile.
func (i *inspector) awaitAnswer(ctx context.Context) bool {
	over, stop := clock.After(i.v.clock, 3*i.rules.Timeout)
	defer stop()
	answers := i.unanswered
	i.unanswered = nil
	select {
	case a := <-answers:
		i.late(a)
	case <-over:
	case <-i.g.body.died():
		return false
	case <-ctx.Done():
		return false
	}
	i.forgetQuestions()
	return true
}

// awaitSilence returns when no heartbeat has come for too long.
func (i *inspector) awaitSilence(ctx context.Context) bool {
	for {
		last := *i.g.beat.Load()
		if last.Before(i.lastWell) {
			last = i.lastWell
		}
		left := i.required - i.v.clock.Now().Sub(last)
		if left > 0 {
			if !i.pause(ctx, left) {
				return false
			}
			continue
		}
		if !i.rules.OnlyUsed || i.underWay(ctx) != "" {
			return true
		}
		i.lastWell = i.v.clock.Now() // it has no workers now, as it should
	}
}

// awaitUse is pause for a vassal that is asked only while others use it.
func (i *inspector) awaitUse(ctx context.Context) bool {
	for ctx.Err() == nil {
		if i.v.deps.Front == nil {
			return i.pause(ctx, i.rules.Interval)
		}
		started := i.v.clock.Now()
		looking, cancel := clock.Within(ctx, i.v.clock, i.rules.Interval+i.rules.Interval/5, context.DeadlineExceeded)
		err := i.v.unused(looking, i.rules.Interval)
		cancel()
		if ctx.Err() != nil {
			return false
		}
		if err != nil { // somebody used it in that time, or the router is away
			return i.pause(ctx, i.rules.Interval-i.v.clock.Now().Sub(started))
		}
		select {
		case <-i.g.body.died():
			return false
		default:
		}
	}
	return false
}

// round asks once, and draws conclusions; false when there is nothing left to ask.
func (i *inspector) round(ctx context.Context) bool {
	if i.asking == nil {
		i.asking, i.forget = context.WithCancel(ctx)
		i.answers = make(chan finding, 1)
	}
	own := make(chan finding, 1)
	asked := i.v.clock.Now()
	i.ask(asked, own)
	over, stop := clock.After(i.v.clock, i.rules.Timeout)
	defer stop()
	for {
		select {
		case a := <-own:
			i.judge(ctx, a)
			return true
		case a := <-i.answers:
			i.late(a)
			if i.failures == 0 {
				return true
			}
		case <-i.heard:
			if i.hear(); i.failures == 0 {
				i.keep(own)
				return true
			}
		case <-over:
			// The question stays: if it is answered yet, that is a sign of life.
			i.keep(own)
			i.judge(ctx, finding{err: fmt.Errorf("no answer within %s", i.rules.Timeout), took: i.rules.Timeout})
			return true
		case <-i.g.body.died():
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// ask puts the question beside; the answer goes to own.
func (i *inspector) ask(asked time.Time, own chan<- finding) {
	ctx := i.asking
	i.v.tasks.Go(func() { // ends with ctx
		err := i.g.body.inquire(ctx, i.rules.Path)
		own <- finding{err, i.v.clock.Now().Sub(asked)}
	})
}

// keep passes an answer on that comes late.
func (i *inspector) keep(own <-chan finding) {
	ctx, answers := i.asking, i.answers
	i.v.tasks.Go(func() {
		select {
		case a := <-own:
			select {
			case answers <- a:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	})
}

// judge takes the answer to a question, or its lack.
func (i *inspector) judge(ctx context.Context, a finding) {
	if ctx.Err() != nil {
		return
	}
	if a.err == nil {
		i.wellAgain()
		i.show(a, "")
		return
	}
	bad := new(probe.BadAnswer)
	i.bad = errors.As(a.err, &bad)
	i.why = a.err.Error()
	if i.failures++; i.failures == 1 {
		i.since = i.v.clock.Now()
		i.listen()
	}
	if i.failures == 1 && !i.busy {
		i.v.log.Warn("the vassal does not answer the question for its health as it should", "gen", i.g.number, "question", i.question(), "err", a.err, "replaced_after", i.rules.Threshold)
	}
	remark := ""
	if i.failures >= i.rules.Threshold {
		if remark = i.excuse(ctx); remark == "" {
			i.v.send(message{kind: foundUnhealthy, generation: i.g.number, unhealthy: &unhealthy{
				why: fmt.Sprintf("%s: %s (%d times in a row)", i.question(), i.why, i.failures), answers: i.bad, since: i.since, wellSince: i.wellSince,
			}})
		}
	}
	i.show(a, remark)
}

// excuse says why silence is not taken for death yet.
func (i *inspector) excuse(ctx context.Context) string {
	patience := i.v.defaults.Answer
	if i.rules.Harakiri > 0 {
		patience = min(patience, i.rules.Harakiri)
	}
	if i.bad || i.v.clock.Now().Sub(i.since) >= patience {
		return ""
	}
	return i.underWay(ctx)
}

// underWay says that requests are under way to it.
func (i *inspector) underWay(ctx context.Context) string {
	if i.v.deps.Front == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := i.v.deps.Front.Unused(ctx, i.v.name, 0); err != nil {
		return "busy: " + err.Error()
	}
	return ""
}

// listen asks the router to say when it hears something.
func (i *inspector) listen() {
	front := i.v.deps.Front
	if front == nil {
		return
	}
	ctx, heard := i.asking, make(chan struct{}, 1)
	i.heard = heard
	i.v.tasks.Go(func() { // ends with ctx
		for ctx.Err() == nil {
			if front.Answered(ctx, i.v.name, i.g.number) == nil {
				heard <- struct{}{}
				return
			}
			clock.Sleep(ctx, i.v.clock, time.Second) // there is no router just now
		}
	})
}

// hear: the router got an answer from it since the first question that failed.
func (i *inspector) hear() {
	i.heard = nil
	if i.bad {
		return // that it answers is known; it says itself that it is not well
	}
	if !i.busy {
		i.busy = true
		i.v.log.Info("the vassal is busy: it answers visitors, and has not come to the question for its health", "gen", i.g.number, "question", i.question())
	}
	i.lastWell, i.failures = i.v.clock.Now(), 0
	i.unanswered = i.answers
	i.show(finding{err: errors.New(i.why)}, "busy: it answers the front")
}

// late takes the answer to a question that had been given up.
func (i *inspector) late(a finding) {
	bad := new(probe.BadAnswer)
	switch {
	case a.err == nil:
		i.wellAgain()
		i.show(a, "")
		i.busy = true // it is late
	case errors.As(a.err, &bad):
		i.bad, i.why = true, a.err.Error()
	}
}

// wellAgain ends a row of failures.
func (i *inspector) wellAgain() {
	i.forgetQuestions()
	i.lastWell = i.v.clock.Now()
	if i.failures > 0 && !i.busy {
		i.v.log.Info("the vassal answers again", "gen", i.g.number, "question", i.question(), "failed", i.failures)
	}
	if i.failures > 0 || i.wellSince.IsZero() {
		i.wellSince = i.lastWell
	}
	i.failures, i.bad, i.busy = 0, false, false
}

// forgetQuestions ends those whose answer nobody waits for any more.
func (i *inspector) forgetQuestions() {
	if i.asking != nil {
		i.forget()
		i.asking, i.heard = nil, nil
	}
}

// question names what is asked.
func (i *inspector) question() string {
	switch {
	case i.rules.Path != "":
		return "GET " + i.rules.Path
	case i.silent != nil:
		return "any answer"
	}
	return "heartbeat"
}

// show publishes what is known.
func (i *inspector) show(a finding, remark string) {
	now := &Inspection{
		Generation: i.g.number, Question: i.question(), At: i.v.clock.Now(), Result: "well", Took: a.took,
		Failures: i.failures, Threshold: i.rules.Threshold, Remark: remark,
	}
	if a.err != nil {
		now.Result = a.err.Error()
	}
	before := i.v.inspection.Swap(now)
	if !before.same(now) {
		i.v.send(message{kind: healthChanged})
	}
}

// same: nothing but the time of the last question is different.
func (a *Inspection) same(b *Inspection) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Generation == b.Generation && a.Question == b.Question && a.Result == b.Result && a.Failures == b.Failures && a.Remark == b.Remark
}
