package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// The loader makes the load that wrk cannot: large bodies in both directions,
// websockets, and above all requests at a fixed rate. It is this program started
// again as
//
//	bench __load PLAN
//
// with one event loop on one thread.
//
// At a fixed rate the loader is open: when a request is due is decided before
// the first one is sent (a Poisson process, the same for every front), and does
// not depend on how fast the front answers. A request's latency counts from the
// moment at which it was due, also if it had to wait for a free connection or if
// the loader itself was late. A client that waits for an answer before it sends
// the next request (wrk) leaves out just the requests that would have had to
// wait: a front that stands still for a second costs it one slow request for
// each connection, where real visitors would have sent thousands (coordinated
// omission).
const loaderCommand = "__load"

// loadPlan says what to send.
type loadPlan struct {
	Address     string
	Host        string
	Path        string
	Upload      int64 // bytes of body of each request; 0 is a GET
	Connections int
	Duration    time.Duration
	Rate        float64 // requests a second; 0 is as fast as the front answers
	Websocket   bool    // messages instead of requests
	Refusable   bool    // 503 is an answer as good as 200, and counted
	Secure      bool    // HTTPS
	Handshakes  string  // a connection for each request, see handshaker
	Script      string  // wrk's, see wrkScript
	Stream      bool    // each connection begins with a ClientHello
}

// warmUp is the beginning of a load at a fixed rate that is not counted:
// connections are opened and caches filled in it.
const warmUp = 300 * time.Millisecond

// loadResult is what the loader writes to its standard output, as JSON.
type loadResult struct {
	Answered int64 // with 200, or messages echoed
	Refused  int64 // answered with 503
	Errors   int64 // other answers, and connections that failed
	Elapsed  time.Duration
	Median   time.Duration
	P99      time.Duration
	Waiting  int64 // requests that were due and not answered at the end
	// Begun is what had been done of the requests under way at the end, in whole
	// requests: few large bodies end within a measurement.
	Begun float64
}

// runLoader carries out the plan in its argument.
func runLoader(args []string) error {
	var plan loadPlan
	if len(args) != 1 {
		return fmt.Errorf("want one plan")
	}
	if err := json.Unmarshal([]byte(args[0]), &plan); err != nil {
		return err
	}
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	wakePrecisely()
	result, err := runPlan(plan)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func runPlan(plan loadPlan) (loadResult, error) {
	if plan.Handshakes != "" {
		// One thread, as the other loads have. What a handshake leaves is collected now
		// and then: fresh memory would cost more than that.
		runtime.GOMAXPROCS(1)
		debug.SetMemoryLimit(64 << 20)
		h, err := newHandshaker(plan)
		if err != nil {
			return loadResult{}, err
		}
		return h.run()
	}
	l, err := newLoader(plan)
	if err != nil {
		return loadResult{}, err
	}
	return l.run()
}

// wakePrecisely takes away the 50 µs by which the kernel may wake this thread
// later than it asked for.
func wakePrecisely() {
	const setTimerSlack = 29 // PR_SET_TIMERSLACK
	syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
}

// loader keeps the connections of one load busy.
type loader struct {
	plan    loadPlan
	poll    poller
	buffer  []byte
	request []byte // head, and for a websocket the frame
	body    []byte
	conns   map[int]*loadConn
	idle    []*loadConn

	due       []time.Duration // when requests are to be sent, at a fixed rate
	next      int             // the first of due that has not been sent
	began     time.Time
	latencies []time.Duration
	answered  int64
	refused   int64
	errors    int64
}

func newLoader(plan loadPlan) (*loader, error) {
	l := &loader{plan: plan, buffer: make([]byte, 256<<10), conns: make(map[int]*loadConn)}
	var err error
	if l.poll, err = newPoller(); err != nil {
		return nil, err
	}
	switch {
	case plan.Websocket:
		l.request = websocketMessage
	case plan.Upload > 0:
		l.request = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", plan.Path, plan.Host, plan.Upload)
		l.body = bytes.Repeat([]byte("0123456789abcde\n"), 1<<16) // sent again and again
	default:
		l.request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", plan.Path, plan.Host)
	}
	for range plan.Connections {
		if err := l.open(); err != nil {
			return nil, err
		}
	}
	l.due = schedule(plan.Rate, plan.Duration+warmUp)
	l.latencies = make([]time.Duration, 0, max(len(l.due), 1<<20))
	return l, nil
}

// schedule decides when requests are due: independent visitors come at random.
// The seed is fixed, so that every front gets the same.
func schedule(rate float64, length time.Duration) []time.Duration {
	if rate == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(1, 2))
	var due []time.Duration
	for at := 0.0; ; {
		at += random.ExpFloat64() / rate
		when := time.Duration(at * float64(time.Second))
		if when >= length {
			return due
		}
		due = append(due, when)
	}
}

// now is the time since the load began.
func (l *loader) now() time.Duration { return time.Since(l.began) }

func (l *loader) run() (loadResult, error) {
	l.began = time.Now()
	end := l.plan.Duration
	if l.plan.Rate > 0 {
		end += warmUp
	} else {
		for len(l.idle) > 0 {
			l.send(l.now())
		}
	}
	var events [256]syscall.EpollEvent
	for {
		now := l.now()
		if now >= end {
			break
		}
		until := end
		if l.plan.Rate > 0 {
			for l.next < len(l.due) && l.due[l.next] <= now && len(l.idle) > 0 {
				l.send(l.due[l.next])
				l.next++
			}
			if l.next < len(l.due) && len(l.idle) > 0 {
				until = l.due[l.next]
			}
		}
		n, err := l.poll.wait(events[:], max(0, until-l.now()))
		if err != nil {
			return loadResult{}, err
		}
		for _, event := range events[:n] {
			l.happened(l.conns[int(event.Fd)], poll(event.Events))
		}
		if len(l.conns) == 0 {
			return loadResult{}, fmt.Errorf("no connection is left after %d requests and %d errors", len(l.latencies), l.errors)
		}
	}
	result := loadResult{Answered: l.answered, Refused: l.refused, Errors: l.errors, Elapsed: l.now()}
	if l.plan.Rate > 0 {
		// What is still waiting has waited at least until now.
		result.Elapsed -= warmUp
		for _, due := range l.due[l.next:] {
			l.count(due, &result.Waiting)
		}
		for _, c := range l.conns {
			if c.busy {
				l.count(c.since, &result.Waiting)
			}
		}
	}
	for _, c := range l.conns {
		result.Begun += c.done(l.plan.Upload)
	}
	slices.Sort(l.latencies)
	result.Median, result.P99 = quantile(l.latencies, 0.5), quantile(l.latencies, 0.99)
	return result, nil
}

// count takes the latency of a request that was due at the given time, and adds
// to the number of those of its kind.
func (l *loader) count(since time.Duration, kind *int64) {
	if l.plan.Rate > 0 && since < warmUp {
		return
	}
	l.latencies = append(l.latencies, l.now()-since)
	*kind++
}

// quantile of sorted values, 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// runLoad runs the loader as a process of its own and returns what it says.
func runLoad(ctx context.Context, self string, plan loadPlan) (load, error) {
	// The loader ends by itself; the deadline is for one that does not.
	ctx, cancel := context.WithTimeout(ctx, plan.Duration+20*time.Second)
	defer cancel()
	text, err := json.Marshal(plan)
	if err != nil {
		return load{}, err
	}
	command := exec.CommandContext(ctx, self, loaderCommand, string(text))
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		complaint, _ := io.ReadAll(&problems)
		return load{}, fmt.Errorf("load: %w: %s", err, bytes.TrimSpace(complaint))
	}
	var r loadResult
	if err := json.Unmarshal(output, &r); err != nil {
		return load{}, fmt.Errorf("load: %w in %q", err, output)
	}
	return load{
		Requests: r.Answered, Begun: r.Begun, PerSecond: (float64(r.Answered) + r.Begun) / r.Elapsed.Seconds(), Errors: r.Errors, Refused: r.Refused,
		Median: r.Median, P99: r.P99, Waiting: r.Waiting,
		cpu: command.ProcessState.UserTime() + command.ProcessState.SystemTime(),
	}, nil
}
