package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// readyDeadline bounds the start of anything that is measured.
const readyDeadline = 60 * time.Second

// contender is one front in one case, with its figures so far.
type contender struct {
	front   string
	test    benchCase
	logged  bool
	running *runningFront
	samples []sample // as fast as it answers
	paced   []sample // at a fixed rate
}

// sample is one measurement.
type sample struct {
	PerSecond float64       // requests answered each second, or mebibytes, or messages
	CPU       time.Duration // of all of the front's processes, for one request
	Median    time.Duration // latency
	P99       time.Duration
	Requests  int64
	Errors    int64
	// Load is how much of one processor the load took. It has one thread: at 1 it is
	// the load that is measured.
	Load float64
	// Others is the share of the machine, 0 to 1, that went to programs that
	// have nothing to do with the measurement, or to other virtual machines.
	Others float64
	// Logged is how many lines of access log there are for one request.
	Logged float64
}

// runningFront is a front that has been started.
type runningFront struct {
	process *child
	address string
	log     string // of access; "" for none
}

// stage is what all measurements of a run have in common.
type stage struct {
	settings   settings
	tools      tools
	dir        string
	secure     *secureFiles // nil: no case wants HTTPS
	backend    *child
	backendDir string
	// streamBackend is an address, for connections that fronts pass through: by TCP, as
	// to another machine.
	streamBackend string
	fronts        map[string]*runningFront // by name, whether they log, and the key of HTTPS
	out           io.Writer
	repeated      int
}

// measureFronts starts the backend and all fronts wanted, measures them in turn,
// case by case, and ends them. With an error it returns what was measured before.
func measureFronts(ctx context.Context, s settings, t tools, dir string, out io.Writer) ([]throughput, []latency, error) {
	st := &stage{settings: s, tools: t, dir: dir, out: out, fronts: make(map[string]*runningFront)}
	defer st.stop()
	if err := st.startBackend(ctx); err != nil {
		return nil, nil, err
	}
	if err := st.prepareSecure(); err != nil {
		return nil, nil, err
	}
	var rates []throughput
	var latencies []latency
	for _, logging := range s.logging {
		for _, test := range benchCases {
			contenders, err := st.contenders(test, logging == loggingOn)
			if err != nil {
				return rates, latencies, err
			}
			if len(contenders) == 0 {
				continue
			}
			fmt.Fprintf(out, "%s, access log %s: %d fronts, %d rounds of %v\n", test.name, logging, len(contenders), s.rounds, s.duration)
			if err := st.measureCase(ctx, contenders); err != nil {
				return rates, latencies, err
			}
			rates = append(rates, summarise(contenders)...)
			if !test.latency {
				continue
			}
			rate := pacedRate(contenders)
			if err := st.measurePaced(ctx, contenders, rate); err != nil {
				return rates, latencies, err
			}
			latencies = append(latencies, summarisePaced(contenders, rate)...)
		}
	}
	if st.repeated > 0 {
		fmt.Fprintf(out, "%d measurements were taken again because other programs were busy\n", st.repeated)
	}
	return rates, latencies, nil
}

func (st *stage) startBackend(ctx context.Context) error {
	st.backendDir = filepath.Join(st.dir, "backend")
	if err := os.MkdirAll(st.backendDir, 0o755); err != nil {
		return err
	}
	sockets := setup{backend: st.backendDir}
	var err error
	if st.streamBackend, err = freeAddress(); err != nil {
		return err
	}
	st.backend, err = start("backend", st.backendDir, program{path: st.tools.self,
		args: []string{backendCommand, "uwsgi=" + sockets.uwsgiSocket(), "http=" + sockets.httpSocket(), "stream=" + st.streamBackend}})
	if err != nil {
		return err
	}
	for _, socket := range []string{sockets.uwsgiSocket(), sockets.httpSocket(), st.streamBackend} {
		if err := st.backend.waitFor(ctx, readyDeadline, answersOn(socket)); err != nil {
			return err
		}
	}
	return nil
}

func (st *stage) stop() {
	for _, running := range st.fronts {
		running.process.stop()
	}
	if st.backend != nil {
		st.backend.stop()
	}
}

// contenders are the fronts wanted in a case, each of them running.
func (st *stage) contenders(test benchCase, logged bool) ([]*contender, error) {
	var all []*contender
	for _, f := range fronts {
		if !test.wanted(st.settings, f.name) || logged && (f.quiet || test.handshakes != "" || test.stream) {
			continue
		}
		key := fmt.Sprintf("%s-%t%s", f.name, logged, test.kind())
		running := st.fronts[key]
		if running == nil {
			var err error
			if running, err = st.startFront(f, key, logged, test); err != nil {
				return nil, err
			}
			st.fronts[key] = running
		}
		all = append(all, &contender{front: f.name, test: test, logged: logged, running: running})
	}
	return all, nil
}

// startFront starts a front in a folder of its own, configured for a case.
func (st *stage) startFront(f front, folder string, logged bool, test benchCase) (*runningFront, error) {
	s := setup{logged: logged, pair: st.secure.of(test.key)}
	if test.stream {
		s.stream = st.streamBackend
	}
	return st.start(f, folder, s)
}

func (st *stage) start(f front, folder string, s setup) (*runningFront, error) {
	dir := filepath.Join(st.dir, folder)
	s.tools, s.dir, s.backend = st.tools, dir, st.backendDir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	logged := s.logged
	var err error
	if s.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if logged {
		if s.stats, err = freeAddress(); err != nil {
			return nil, err
		}
		s.log = filepath.Join(dir, "access.log")
		if err := os.WriteFile(s.log, nil, 0o666); err != nil {
			return nil, err
		}
		if err := os.Chmod(s.log, 0o666); err != nil { // past the umask: fronts give up their privileges
			return nil, err
		}
	}
	p, err := f.prepare(s)
	if err != nil {
		return nil, err
	}
	process, err := start(f.name, dir, p)
	if err != nil {
		return nil, err
	}
	return &runningFront{process: process, address: s.address, log: s.log}, nil
}

// measureCase fills in the contenders' samples.
func (st *stage) measureCase(ctx context.Context, contenders []*contender) error {
	for _, c := range contenders {
		if err := c.running.process.waitFor(ctx, readyDeadline, func() error { return rightAnswer(ctx, c) }); err != nil {
			return err
		}
		plan := c.test.plan(st.settings, c.running.address)
		plan.Duration = time.Second
		if _, err := st.load(ctx, c, plan); err != nil {
			return fmt.Errorf("%s, %s: %w", c.front, c.test.name, err)
		}
	}
	return st.inTurn(contenders, func(c *contender) (sample, error) {
		return st.measure(ctx, c, c.test.plan(st.settings, c.running.address))
	}, func(c *contender) *[]sample { return &c.samples })
}

// inTurn measures each contender once in each round, and repeats what others
// disturbed while there is patience left.
func (st *stage) inTurn(contenders []*contender, measure func(*contender) (sample, error), into func(*contender) *[]sample) error {
	for round := range st.settings.rounds {
		for i := range contenders {
			// Another one begins each time, so that none always follows the same.
			c := contenders[(round+i)%len(contenders)]
			sample, err := measure(c)
			for attempt := 1; errors.Is(err, errNothing) && attempt < 3; attempt++ {
				sample, err = measure(c) // a machine that stood still, or a front that hangs
			}
			for err == nil && sample.Others > quiet && st.settings.patience > 0 {
				began := time.Now()
				st.repeated++
				sample, err = measure(c)
				st.settings.patience -= time.Since(began)
			}
			if err != nil {
				return err
			}
			*into(c) = append(*into(c), sample)
		}
	}
	return nil
}

// rightAnswer asks once, and checks that the backend's answer comes back and
// that the front keeps the connection: a front that answers 502 is fast.
func rightAnswer(ctx context.Context, c *contender) error {
	client := newClient(c.running.address, 1)
	defer client.CloseIdleConnections()
	scheme := "http://"
	if c.test.stream {
		helloFirst(client, c.test.host)
	}
	if c.test.key != "" {
		scheme = "https://"
		transport := client.Transport.(*http.Transport)
		transport.TLSClientConfig, transport.ForceAttemptHTTP2 = anyCertificate(c.test), c.test.http2
	}
	request, err := http.NewRequestWithContext(ctx, "GET", scheme+c.test.host+"/", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK || string(body) != backendBody:
		return fmt.Errorf("%s: got status %d and %q, want the backend's answer", c.test.host, response.StatusCode, body)
	case c.test.http2 != (response.ProtoMajor == 2):
		return fmt.Errorf("%s: the answer came over %s", c.test.host, response.Proto)
	case response.Close:
		return fmt.Errorf("%s: the front closes the connection after one request", c.test.host)
	}
	return nil
}

// load sends requests in the way that suits the case.
func (st *stage) load(ctx context.Context, c *contender, plan loadPlan) (load, error) {
	if c.test.http2 {
		return runH2load(ctx, st.tools.path(toolH2load), plan)
	}
	if c.test.byWrk() && plan.Rate == 0 {
		plan.Script = st.secure.script()
		return runWrk(ctx, st.tools.path(toolWrk), plan)
	}
	return runLoad(ctx, st.tools.self, plan)
}

var errNothing = errors.New("not one request was answered")

// measure loads a front once, and takes the processor time used meanwhile.
func (st *stage) measure(ctx context.Context, c *contender, plan loadPlan) (sample, error) {
	if c.running.log != "" {
		if err := os.Truncate(c.running.log, 0); err != nil {
			return sample{}, err
		}
	}
	before, err := readCPU(c.running.process, st.backend)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	load, err := st.load(ctx, c, plan)
	if err != nil {
		return sample{}, fmt.Errorf("%s, %s: %w; its last lines:\n%s", c.front, c.test.name, err, lastLines(c.running.process.log, 12))
	}
	elapsed := time.Since(began)
	after, err := readCPU(c.running.process, st.backend)
	if err != nil {
		return sample{}, err
	}
	done := float64(load.Requests) + load.Begun
	if done == 0 {
		return sample{}, fmt.Errorf("%s, %s: %w; its last lines:\n%s", c.front, c.test.name, errNothing, lastLines(c.running.process.log, 12))
	}
	spent := after.minus(before)
	others := spent.machine + spent.stolen - spent.front - spent.backend - load.cpu
	result := sample{
		PerSecond: load.PerSecond * c.test.perUnit(),
		CPU:       time.Duration(float64(spent.front) / done),
		Median:    load.Median,
		P99:       load.P99,
		Requests:  load.Requests,
		Errors:    load.Errors,
		Load:      load.cpu.Seconds() / elapsed.Seconds(),
		Others:    max(0, others.Seconds()/elapsed.Seconds()/float64(cores())),
	}
	if c.running.log != "" && !c.test.websocket && load.Requests > 0 {
		time.Sleep(200 * time.Millisecond) // what is still in a buffer
		lines, err := countLines(c.running.log)
		if err != nil {
			return sample{}, err
		}
		// What was under way at the end has a line too.
		result.Logged = min(1, float64(lines)/float64(load.Requests))
	}
	return result, nil
}

func countLines(path string) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	count, buf, in := 0, make([]byte, 1<<20), bufio.NewReaderSize(file, 16)
	for {
		n, err := in.Read(buf)
		count += bytes.Count(buf[:n], []byte("\n"))
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// cpuTimes are readings of processor time.
type cpuTimes struct{ front, backend, machine, stolen time.Duration }

func readCPU(front, backend *child) (c cpuTimes, err error) {
	if c.front, err = treeCPU(front.process.Pid); err != nil {
		return c, err
	}
	if c.backend, err = treeCPU(backend.process.Pid); err != nil {
		return c, err
	}
	c.machine, c.stolen, err = machineCPU()
	return c, err
}

func (c cpuTimes) minus(d cpuTimes) cpuTimes {
	return cpuTimes{c.front - d.front, c.backend - d.backend, c.machine - d.machine, c.stolen - d.stolen}
}

// pacedRate is half of what the slowest of the contenders carries, in requests a
// second.
func pacedRate(contenders []*contender) float64 {
	var carried []float64
	for _, c := range contenders {
		var rates []float64
		for _, sample := range c.samples {
			rates = append(rates, sample.PerSecond)
		}
		carried = append(carried, median(rates))
	}
	return slices.Min(carried) / 2
}

// measurePaced fills in the contenders' paced samples.
func (st *stage) measurePaced(ctx context.Context, contenders []*contender, rate float64) error {
	return st.inTurn(contenders, func(c *contender) (sample, error) {
		plan := c.test.plan(st.settings, c.running.address)
		plan.Rate = rate
		return st.measure(ctx, c, plan)
	}, func(c *contender) *[]sample { return &c.paced })
}
