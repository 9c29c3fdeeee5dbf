package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// What is to be reached, beside each figure in the report.
const (
	wantPerSecondNginx = 1.0
	wantCPUNginx       = 1.0
	wantPerSecondUWSGI = 1.3
	wantMemory         = 30 << 20
	wantDeploy         = 20 * time.Millisecond

	// quiet is the share of the machine that other programs may take before
	// the report calls the figures doubtful.
	quiet = 0.10
)

// report is everything measured; its JSON form is what -json writes. Times are
// in nanoseconds, memory in bytes.
type report struct {
	Machine    string
	Settings   string
	Throughput []throughput `json:",omitempty"`
	Ratios     []ratio      `json:",omitempty"`
	Memory     *memory      `json:",omitempty"`
	Deploy     *deploy      `json:",omitempty"`
}

func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func (r *report) printThroughput(out io.Writer) {
	fmt.Fprintln(out, "\nTHROUGHPUT  medians, with least and greatest in brackets")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	last, doubtful := "", false
	for _, t := range r.Throughput {
		if t.Case != last {
			last = t.Case
			table.Flush()
			fmt.Fprintf(out, "\n%s: %s\n", t.Case, caseNamed(t.Case).meant)
			fmt.Fprintln(table, "front\trequests/s\t\tCPU µs/request\t\tp50\tp99\terrors\tothers' CPU\t")
		}
		fmt.Fprintf(table, "%s\t%.0f\t[%.0f–%.0f]\t%.1f\t[%.1f–%.1f]\t%s\t%s\t%d\t%.0f%%\t\n", t.Front,
			t.Summary.PerSecond, t.Least.PerSecond, t.Greatest.PerSecond,
			micro(t.Summary.CPU), micro(t.Least.CPU), micro(t.Greatest.CPU),
			short(t.Summary.Median), short(t.Summary.P99), t.Summary.Errors, 100*t.Summary.Others)
		doubtful = doubtful || t.Summary.Others > quiet
	}
	table.Flush()
	if doubtful {
		fmt.Fprintf(out, "\nOther programs took more than %.0f%% of the machine: trust the ratios more than the figures, and neither much.\n", 100*quiet)
	}
	if len(r.Ratios) == 0 {
		return
	}
	fmt.Fprintln(out, "\nRATIOS  emperor ÷ other, median of the rounds")
	fmt.Fprintln(table, "case\tagainst\trequests/s\tCPU/request\twanted\t")
	for _, ratio := range r.Ratios {
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%.2f\t%s\t\n", ratio.Case, ratio.Against, ratio.PerSecond, ratio.CPU, ratio.verdict())
	}
	table.Flush()
}

// verdict compares a ratio with what is to be reached, where something is.
func (r ratio) verdict() string {
	if r.Case != "uwsgi" {
		return ""
	}
	switch r.Against {
	case frontNginx:
		return fmt.Sprintf("≥ %.1f and ≤ %.1f: %s", wantPerSecondNginx, wantCPUNginx, reached(r.PerSecond >= wantPerSecondNginx && r.CPU <= wantCPUNginx))
	case frontUWSGI:
		return fmt.Sprintf("≥ %.1f: %s", wantPerSecondUWSGI, reached(r.PerSecond >= wantPerSecondUWSGI))
	}
	return ""
}

func (r *report) printMemory(out io.Writer) {
	fmt.Fprintf(out, "\nMEMORY  PSS after %d requests to %d vassals (%d failed), idle\n", r.Memory.Requests, r.Memory.Vassals, r.Memory.Errors)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range r.Memory.Processes {
		fmt.Fprintf(table, "%.1f MiB\t%s\n", mebibytes(p.PSS), p.Command)
	}
	fmt.Fprintf(table, "%.1f MiB\ttogether; wanted ≤ %.0f MiB: %s\n", mebibytes(r.Memory.Sum), mebibytes(wantMemory), reached(r.Memory.Sum <= wantMemory))
	table.Flush()
}

func (r *report) printDeploy(out io.Writer) {
	fmt.Fprintf(out, "\nDEPLOY  %d edits, %d requests failed meanwhile; from the end of the debounce\n", r.Deploy.Edits, r.Deploy.Failed)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, times []time.Duration) {
		if len(times) == 0 {
			fmt.Fprintf(table, "%s\tnot in the emperor's log\n", name)
			return
		}
		fmt.Fprintf(table, "%s\tmedian %s\t[%s–%s]\twanted < %v: %s\n", name, short(median(times)), short(times[0]), short(times[len(times)-1]),
			wantDeploy, reached(median(times) < wantDeploy))
	}
	row("generation being started, by the emperor's log", r.Deploy.Logged)
	row("program in main, seen from outside", r.Deploy.Started)
	table.Flush()
}

func reached(yes bool) string {
	if yes {
		return "reached"
	}
	return "MISSED"
}

func caseNamed(name string) benchCase {
	for _, c := range benchCases {
		if c.name == name {
			return c
		}
	}
	return benchCase{name: name}
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
func short(d time.Duration) string  { return d.Round(10 * time.Microsecond).String() }
func cores() int                    { return runtime.NumCPU() }
func describeSettings(s settings) string {
	return fmt.Sprintf("%d rounds of %v, wrk -t1 -c%d, GOMAXPROCS %d", s.rounds, s.duration, s.connections, runtime.GOMAXPROCS(0))
}

// describeMachine says what the figures were taken on, in one line.
func describeMachine() string {
	kernel := "Linux"
	var name syscall.Utsname
	if syscall.Uname(&name) == nil {
		var release []byte
		for _, c := range name.Release {
			if c == 0 {
				break
			}
			release = append(release, byte(c))
		}
		kernel += " " + string(release)
	}
	return fmt.Sprintf("%d × %s, %s, load average %s, %s", cores(), processorName(), kernel, loadAverage(), time.Now().Format(time.DateTime))
}

func processorName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
