package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load is what wrk or the loader says about one run, and the processor time that
// it used itself.
type load struct {
	Requests  int64
	PerSecond float64
	Errors    int64   // answers other than 2xx and 3xx, and connections that failed
	Refused   int64   // see loadPlan.Refusable
	Begun     float64 // see loadResult
	Waiting   int64   // at a fixed rate: due and not answered at the end
	Median    time.Duration
	P99       time.Duration
	cpu       time.Duration
}

// runWrk loads a front for the given time with one thread of wrk. One is enough:
// it costs a fraction of what the front does, and leaves the front a core.
func runWrk(ctx context.Context, wrk string, plan loadPlan) (load, error) {
	// wrk ends by itself; the deadline is for one that does not.
	ctx, cancel := context.WithTimeout(ctx, plan.Duration+20*time.Second)
	defer cancel()
	args := []string{"-t1", "-c" + strconv.Itoa(plan.Connections), fmt.Sprintf("-d%ds", int(plan.Duration.Seconds())),
		"--latency", "--timeout", "5s", "-H", "Host: " + plan.Host}
	if plan.Secure {
		args = append(args, "-s", plan.Script, secureURL(plan))
	} else {
		args = append(args, "http://"+plan.Address+plan.Path)
	}
	command := exec.CommandContext(ctx, wrk, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		return load{}, fmt.Errorf("wrk: %w", ctx.Err())
	}
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w:\n%s", err, output)
	}
	result, err := parseWrk(string(output))
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w in:\n%s", err, output)
	}
	result.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return result, nil
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec:\s+([\d.]+)`)
	wrkMedian   = regexp.MustCompile(`(?m)^\s*50%\s+(\S+)`)
	wrkP99      = regexp.MustCompile(`(?m)^\s*99%\s+(\S+)`)
	wrkStatuses = regexp.MustCompile(`(?m)^\s*Non-2xx or 3xx responses: (\d+)`)
	wrkSockets  = regexp.MustCompile(`(?m)^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

// parseWrk reads wrk's report. The two lines about errors are there only if
// there were any.
func parseWrk(text string) (load, error) {
	var l load
	requests, rate := wrkRequests.FindStringSubmatch(text), wrkRate.FindStringSubmatch(text)
	if requests == nil || rate == nil {
		return l, fmt.Errorf("no count of requests")
	}
	l.Requests, _ = strconv.ParseInt(requests[1], 10, 64)
	l.PerSecond, _ = strconv.ParseFloat(rate[1], 64)
	for pattern, into := range map[*regexp.Regexp]*time.Duration{wrkMedian: &l.Median, wrkP99: &l.P99} {
		found := pattern.FindStringSubmatch(text)
		if found == nil {
			return l, fmt.Errorf("no latency")
		}
		d, err := time.ParseDuration(strings.TrimSpace(found[1])) // 635.00us, 2.10ms, 1.02s
		if err != nil {
			return l, err
		}
		*into = d
	}
	for _, pattern := range []*regexp.Regexp{wrkStatuses, wrkSockets} {
		if found := pattern.FindStringSubmatch(text); found != nil {
			for _, number := range found[1:] {
				n, _ := strconv.ParseInt(number, 10, 64)
				l.Errors += n
			}
		}
	}
	return l, nil
}
