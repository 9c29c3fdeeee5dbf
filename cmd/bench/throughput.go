package main

import (
	"context"
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
	address string
	process *child
	samples []sample
}

// sample is one measurement.
type sample struct {
	PerSecond float64       // requests answered each second
	CPU       time.Duration // of all of the front's processes, for one request
	Median    time.Duration // latency
	P99       time.Duration
	Requests  int64
	Errors    int64
	// Others is the share of the machine, 0 to 1, that went to programs that
	// have nothing to do with the measurement, or to other virtual machines.
	Others float64
}

// measureThroughput starts the backend and all fronts wanted, measures them in
// turn, and ends them.
func measureThroughput(ctx context.Context, s settings, t tools, dir string, out io.Writer) (_ []throughput, err error) {
	backendDir := filepath.Join(dir, "backend")
	if err := os.MkdirAll(backendDir, 0o755); err != nil {
		return nil, err
	}
	uwsgiSocket, httpSocket := filepath.Join(backendDir, "uwsgi.sock"), filepath.Join(backendDir, "http.sock")
	backend, err := start("backend", backendDir, t.self, backendCommand, "uwsgi="+uwsgiSocket, "http="+httpSocket)
	if err != nil {
		return nil, err
	}
	defer backend.stop()
	for _, socket := range []string{uwsgiSocket, httpSocket} {
		if err := backend.waitFor(ctx, readyDeadline, answersOn(socket)); err != nil {
			return nil, err
		}
	}

	var contenders []*contender
	for _, f := range fronts {
		if !s.measures(f.name) {
			continue
		}
		process, address, err := startFront(f, t, filepath.Join(dir, f.name), backendDir)
		if err != nil {
			return nil, err
		}
		defer process.stop()
		for _, test := range benchCases {
			if test.wanted(s, f.name) {
				contenders = append(contenders, &contender{front: f.name, test: test, address: address, process: process})
			}
		}
	}
	for _, c := range contenders {
		if err := c.process.waitFor(ctx, readyDeadline, func() error { return rightAnswer(ctx, c) }); err != nil {
			return nil, err
		}
	}

	fmt.Fprintf(out, "%d rounds of %v for each of %d, and one second each to warm up\n", s.rounds, s.duration, len(contenders))
	for _, c := range contenders {
		if _, err := runWrk(ctx, t.wrk, c.address, c.test.host, s.connections, time.Second); err != nil {
			return nil, err
		}
	}
	patientUntil, repeated := time.Now().Add(time.Duration(s.rounds*len(contenders))*s.duration+s.patience), 0
	for round := range s.rounds {
		for i := range contenders {
			// Another one begins each time, so that none always follows the same.
			c := contenders[(round+i)%len(contenders)]
			sample, err := c.measure(ctx, s, t, backend)
			for err == nil && sample.Others > quiet && time.Now().Before(patientUntil) {
				repeated++
				sample, err = c.measure(ctx, s, t, backend)
			}
			if err != nil {
				return nil, err
			}
			c.samples = append(c.samples, sample)
		}
	}
	if repeated > 0 {
		fmt.Fprintf(out, "%d measurements were taken again because other programs were busy\n", repeated)
	}
	return summarise(contenders), nil
}

func startFront(f front, t tools, dir, backendDir string) (*child, string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, "", err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	path, args, err := f.prepare(t, dir, address, backendDir)
	if err != nil {
		return nil, "", err
	}
	process, err := start(f.name, dir, path, args...)
	return process, address, err
}

// rightAnswer asks once, and checks that the backend's answer comes back and
// that the front keeps the connection: a front that answers 502 is fast.
func rightAnswer(ctx context.Context, c *contender) error {
	client := newClient(c.address, 1)
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+c.test.host+"/", nil)
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
	case response.Close:
		return fmt.Errorf("%s: the front closes the connection after one request", c.test.host)
	}
	return nil
}

// measure runs wrk once, and takes the processor time used meanwhile.
func (c *contender) measure(ctx context.Context, s settings, t tools, backend *child) (sample, error) {
	before, err := readCPU(c.process, backend)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	load, err := runWrk(ctx, t.wrk, c.address, c.test.host, s.connections, s.duration)
	if err != nil {
		return sample{}, err
	}
	elapsed := time.Since(began)
	after, err := readCPU(c.process, backend)
	if err != nil {
		return sample{}, err
	}
	if load.Requests == 0 {
		return sample{}, fmt.Errorf("%s, %s: not one request was answered; its last lines:\n%s", c.front, c.test.name, lastLines(c.process.log, 12))
	}
	spent := after.minus(before)
	others := spent.machine + spent.stolen - spent.front - spent.backend - load.cpu
	return sample{
		PerSecond: load.PerSecond,
		CPU:       spent.front / time.Duration(load.Requests),
		Median:    load.Median,
		P99:       load.P99,
		Requests:  load.Requests,
		Errors:    load.Errors,
		Others:    max(0, others.Seconds()/elapsed.Seconds()/float64(cores())),
	}, nil
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

// throughput is the outcome for one front in one case.
type throughput struct {
	Case     string
	Front    string
	Summary  sample // the median of each figure; Requests and Errors are sums
	Least    sample // the smallest of each figure
	Greatest sample
	Rounds   []sample
}

func summarise(contenders []*contender) []throughput {
	var all []throughput
	for _, c := range contenders {
		t := throughput{Case: c.test.name, Front: c.front, Rounds: c.samples}
		t.Summary, t.Least, t.Greatest = c.samples[0], c.samples[0], c.samples[0]
		summariseFigure(&t, func(s *sample) *float64 { return &s.PerSecond })
		summariseFigure(&t, func(s *sample) *float64 { return &s.Others })
		summariseFigure(&t, func(s *sample) *time.Duration { return &s.CPU })
		summariseFigure(&t, func(s *sample) *time.Duration { return &s.Median })
		summariseFigure(&t, func(s *sample) *time.Duration { return &s.P99 })
		t.Summary.Requests, t.Summary.Errors = 0, 0
		for _, s := range c.samples {
			t.Summary.Requests += s.Requests
			t.Summary.Errors += s.Errors
		}
		all = append(all, t)
	}
	// Rows of one case stand together.
	slices.SortStableFunc(all, func(a, b throughput) int {
		return slices.Index(caseNames(), a.Case) - slices.Index(caseNames(), b.Case)
	})
	return all
}

// summariseFigure fills in median, least and greatest of one figure.
func summariseFigure[T float64 | time.Duration](t *throughput, figure func(*sample) *T) {
	var values []T
	for i := range t.Rounds {
		values = append(values, *figure(&t.Rounds[i]))
	}
	*figure(&t.Summary) = median(values)
	*figure(&t.Least), *figure(&t.Greatest) = slices.Min(values), slices.Max(values)
}

// median returns the middle value, or the mean of the two in the middle.
func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// ratio compares the emperor with another front, round by round.
type ratio struct {
	Case      string
	Against   string
	PerSecond float64 // more is better
	CPU       float64 // less is better
}

// ratios are medians of the ratios within each round: what slows the machine
// for a minute slows both sides of such a ratio.
func ratios(all []throughput) []ratio {
	var result []ratio
	for _, ours := range all {
		if ours.Front != frontEmperor {
			continue
		}
		for _, theirs := range all {
			if theirs.Case != ours.Case || theirs.Front == ours.Front {
				continue
			}
			var rate, cpu []float64
			for i := range ours.Rounds {
				rate = append(rate, ours.Rounds[i].PerSecond/theirs.Rounds[i].PerSecond)
				cpu = append(cpu, float64(ours.Rounds[i].CPU)/float64(theirs.Rounds[i].CPU))
			}
			result = append(result, ratio{ours.Case, theirs.Front, median(rate), median(cpu)})
		}
	}
	return result
}
