package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	wantPerSecondCaddy = 2.0
	wantBodiesNginx    = 0.9
	wantP99Nginx       = 1.0
	wantCPURules       = 1.2
	wantHandshakes     = 0.9
	wantStreamsNginx   = 1.0
	wantStreamsHAProxy = 0.95
	wantIdle           = 6 << 10
	wantNeighbour      = 1.5
	wantMemory         = 30 << 20
	wantDeploy         = 20 * time.Millisecond

	wantCertificatesStart  = 2 * time.Second
	wantCertificatesMemory = 150 << 20
	wantFirstHandshake     = time.Millisecond

	// quiet is the share of the machine that other programs may take before
	// the report calls the figures doubtful.
	quiet = 0.10
)

// report is everything measured; its JSON form is what -json writes. Times are
// in nanoseconds, memory in bytes.
type report struct {
	Machine      string
	Settings     string
	Versions     map[string]string `json:",omitempty"`
	Throughput   []throughput      `json:",omitempty"`
	Latency      []latency         `json:",omitempty"`
	Ratios       []ratio           `json:",omitempty"`
	Idle         []idle            `json:",omitempty"`
	Certificates []massive         `json:",omitempty"`
	Neighbour    *neighbour        `json:",omitempty"`
	Memory       *memory           `json:",omitempty"`
	Deploy       *deploy           `json:",omitempty"`
}

func readReport(path string) (*report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// write writes what the settings ask for beside the report on the standard output.
func (r *report) write(s settings) error {
	if s.json != "" {
		if err := r.writeJSON(s.json); err != nil {
			return err
		}
	}
	if s.plot != "" {
		return r.draw(s.plot)
	}
	return nil
}

// empty tells whether nothing has been measured.
func (r *report) empty() bool {
	return len(r.Throughput)+len(r.Idle)+len(r.Certificates) == 0 && r.Neighbour == nil && r.Memory == nil && r.Deploy == nil
}

func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// print shows everything, in the order in which it is measured.
func (r *report) print(out io.Writer) {
	r.printMachine(out)
	r.printThroughput(out)
	r.printLatency(out)
	r.printRest(out)
}

// printRest shows what is not about throughput.
func (r *report) printRest(out io.Writer) {
	if len(r.Idle) > 0 {
		r.printIdle(out)
	}
	if len(r.Certificates) > 0 {
		r.printCertificates(out)
	}
	if r.Neighbour != nil {
		r.printNeighbour(out)
	}
	if r.Memory != nil {
		r.printMemory(out)
	}
	if r.Deploy != nil {
		r.printDeploy(out)
	}
}

func (r *report) printMachine(out io.Writer) {
	fmt.Fprintf(out, "%s\n%s\n\nFRONTS\n", r.Machine, r.Settings)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range fronts {
		if version, known := r.Versions[f.tool]; known {
			fmt.Fprintf(table, "%s\t%s\tup to %d of %d processors\t%s\n", f.name, f.meant, f.processors, cores(), version)
		}
	}
	table.Flush()
	fmt.Fprintln(out)
}

func (r *report) printThroughput(out io.Writer) {
	if len(r.Throughput) == 0 {
		return
	}
	fmt.Fprintln(out, "\nTHROUGHPUT  medians, with least and greatest in brackets")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	last, doubtful := "", false
	for _, t := range r.Throughput {
		if title := t.title(); title != last {
			last = title
			table.Flush()
			fmt.Fprintf(out, "\n%s\n", title)
			fmt.Fprintf(table, "front\t%s\t\tCPU µs/request\t\tp50\tp99\terrors\tload's CPU\tothers' CPU\tlines logged\t\n", caseNamed(t.Case).unit())
		}
		fmt.Fprintf(table, "%s\t%.0f\t[%.0f–%.0f]\t%.1f\t[%.1f–%.1f]\t%s\t%s\t%d\t%.0f%%\t%.0f%%\t%s\t\n", t.Front,
			t.Summary.PerSecond, t.Least.PerSecond, t.Greatest.PerSecond,
			micro(t.Summary.CPU), micro(t.Least.CPU), micro(t.Greatest.CPU),
			measured(t.Summary.Median), measured(t.Summary.P99), t.Summary.Errors, 100*t.Summary.Load, 100*t.Summary.Others, t.logged())
		doubtful = doubtful || t.Summary.Others > quiet
	}
	table.Flush()
	if doubtful {
		fmt.Fprintf(out, "\nOther programs took more than %.0f%% of the machine: trust the ratios more than the figures, and neither much.\n", 100*quiet)
	}
	if len(r.Ratios) == 0 {
		return
	}
	fmt.Fprintln(out, "\nRATIOS  emperor ÷ other, with the processors each may use; medians of the rounds, with least and greatest; p99 at the same rate")
	fmt.Fprintln(table, "case\tlog\tfront\tagainst\tper second\t\tCPU/request\t\tp99\twanted\t")
	for _, ratio := range r.Ratios {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.2f\t[%.2f–%.2f]\t%.2f\t[%.2f–%.2f]\t%s\t%s\t\n", ratio.Case, onOff(ratio.Logged),
			withProcessors(ratio.Front), withProcessors(ratio.Against),
			ratio.PerSecond.Median, ratio.PerSecond.Least, ratio.PerSecond.Greatest,
			ratio.CPU.Median, ratio.CPU.Least, ratio.CPU.Greatest, ratio.p99(), ratio.verdict())
	}
	table.Flush()
}

// title says what was measured.
func (t throughput) title() string {
	return fmt.Sprintf("%s: %s; access log and statistics %s", t.Case, caseNamed(t.Case).meant, onOff(t.Logged))
}

func onOff(yes bool) string {
	if yes {
		return loggingOn
	}
	return loggingOff
}

// withProcessors is a front's name and how many processors it may use.
func withProcessors(front string) string {
	return fmt.Sprintf("%s (%d)", front, frontNamed(front).processors)
}

// logged is how many of the requests are in the access log.
func (t throughput) logged() string {
	if !t.Logged || caseNamed(t.Case).websocket {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*t.Summary.Logged)
}

func (r ratio) p99() string {
	if r.P99.Median == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", r.P99.Median)
}

// verdict compares a ratio with what is to be reached, where something is.
func (r ratio) verdict() string {
	test := caseNamed(r.Case)
	switch {
	case r.Front == frontManyRules:
		return fmt.Sprintf("CPU ≤ %.1f: %s", wantCPURules, reached(r.CPU.Median <= wantCPURules))
	case r.Front == frontEmperorAll && frontNamed(r.Against).processors < frontNamed(r.Front).processors:
		return "" // neither alike nor as they come
	case test.stream:
		return r.verdictStream(test)
	case test.websocket:
		return ""
	case test.key != "":
		return r.verdictSecure(test)
	case frontNamed(r.Against).tool == toolNginx && test.path != pathSmall:
		return fmt.Sprintf("≥ %.1f: %s", wantBodiesNginx, reached(r.PerSecond.Median >= wantBodiesNginx))
	case frontNamed(r.Against).tool == toolNginx:
		well := r.PerSecond.Median >= wantPerSecondNginx && r.CPU.Median <= wantCPUNginx && r.P99.Median <= wantP99Nginx
		return fmt.Sprintf("≥ %.1f, ≤ %.1f, ≤ %.1f: %s", wantPerSecondNginx, wantCPUNginx, wantP99Nginx, reached(well))
	case r.Against == frontUWSGI || r.Against == frontUWSGIAll:
		if test.path == pathSmall {
			return fmt.Sprintf("≥ %.1f: %s", wantPerSecondUWSGI, reached(r.PerSecond.Median >= wantPerSecondUWSGI))
		}
	case r.Against == frontCaddy && test.path == pathSmall:
		return fmt.Sprintf("≥ %.1f: %s", wantPerSecondCaddy, reached(r.PerSecond.Median >= wantPerSecondCaddy))
	}
	return ""
}

// verdictStream is the verdict for bytes that are passed through.
func (r ratio) verdictStream(test benchCase) string {
	tool := frontNamed(r.Against).tool
	switch {
	case test.handshakes != "" && tool == toolNginx:
		return fmt.Sprintf("≥ %.1f: %s", wantStreamsNginx, reached(r.PerSecond.Median >= wantStreamsNginx))
	case test.mebibytes > 0 && tool == toolNginx:
		return fmt.Sprintf("CPU ≤ %.1f: %s", wantCPUNginx, reached(r.CPU.Median <= wantCPUNginx))
	case test.mebibytes > 0 && tool == toolHAProxy:
		return fmt.Sprintf("≥ %.2f: %s", wantStreamsHAProxy, reached(r.PerSecond.Median >= wantStreamsHAProxy))
	}
	return ""
}

// verdictSecure is the verdict for HTTPS.
func (r ratio) verdictSecure(test benchCase) string {
	wanted := wantPerSecondNginx
	if test.handshakes != "" {
		wanted = wantHandshakes
	}
	if frontNamed(r.Against).tool != toolNginx || test.http2 || test.handshakes != "" && !(test.handshakes == handshakesFull && test.key == keyECDSA) {
		return ""
	}
	return fmt.Sprintf("≥ %.1f: %s", wanted, reached(r.PerSecond.Median >= wanted))
}

func (r *report) printLatency(out io.Writer) {
	if len(r.Latency) == 0 {
		return
	}
	fmt.Fprintln(out, "\nLATENCY  at a fixed rate, counted from the moment at which each request was due; medians, with least and greatest")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	last := ""
	for _, l := range r.Latency {
		if title := l.title(); title != last {
			last = title
			table.Flush()
			fmt.Fprintf(out, "\n%s, %.0f requests/s\n", title, l.Rate)
			fmt.Fprintln(table, "front\tp50\t\tp99\t\tCPU µs/request\terrors\tothers' CPU\t")
		}
		fmt.Fprintf(table, "%s\t%s\t[%s–%s]\t%s\t[%s–%s]\t%.1f\t%d\t%.0f%%\t\n", l.Front,
			short(l.Summary.Median), short(l.Least.Median), short(l.Greatest.Median),
			short(l.Summary.P99), short(l.Least.P99), short(l.Greatest.P99),
			micro(l.Summary.CPU), l.Summary.Errors, 100*l.Summary.Others)
	}
	table.Flush()
}

func (r *report) printIdle(out io.Writer) {
	for _, kind := range idleKinds {
		r.printIdleOf(out, kind)
	}
}

func (r *report) printIdleOf(out io.Writer, kind idleKind) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	first := true
	for _, i := range r.Idle {
		if i.kind() != kind.section {
			continue
		}
		if first {
			first = false
			fmt.Fprintf(out, "\nIDLE  %s; PSS of all of a front's processes\n", kind.meant)
			fmt.Fprintln(table, "front\tbefore, MiB\twith them, MiB\tKiB each\tconnections\tclosed by the front\twanted\t")
		}
		wanted := ""
		if i.Front == frontEmperor && !i.Streams {
			wanted = fmt.Sprintf("≤ %d KiB each: %s", wantIdle>>10, reached(i.each() <= wantIdle && i.Closed == 0))
		}
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.2f\t%d\t%d\t%s\t\n", i.Front, mebibytes(i.Before), mebibytes(i.With), i.each()/1024, i.Connections, i.Closed, wanted)
	}
	table.Flush()
}

func (r *report) printCertificates(out io.Writer) {
	if len(r.Certificates) == 0 {
		return
	}
	fmt.Fprintf(out, "\nCERTIFICATES  a folder of %d pairs; %d of the names asked for twice; %d of the pairs replaced while handshakes go on\n",
		r.Certificates[0].Pairs, certificatesAsked, certificatesSwapped)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "front\tstart\tPSS, MiB\tfirst handshake\tsecond\tfirst − second\tits p99\treplaced\thandshakes meanwhile\tfailed\tstill old\twanted\t")
	for _, m := range r.Certificates {
		if len(m.Beyond) == 0 {
			continue // the problem is said below
		}
		slices.Sort(m.Beyond)
		wanted := ""
		if m.Front == frontEmperor {
			well := m.Start <= wantCertificatesStart && m.Memory <= wantCertificatesMemory && median(m.Beyond) <= wantFirstHandshake &&
				m.Failed == 0 && m.Old == 0 && m.Swaps == certificatesSwapped
			wanted = fmt.Sprintf("≤ %v, ≤ %.0f MiB, − ≤ %v, 0, 0: %s", wantCertificatesStart, mebibytes(wantCertificatesMemory), wantFirstHandshake, reached(well))
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t\n", m.Front, m.Start.Round(10*time.Millisecond), mebibytes(m.Memory),
			short(median(m.First)), short(median(m.Again)), short(median(m.Beyond)), short(quantile(m.Beyond, 0.99)), m.Swaps, m.Handshakes, m.Failed, m.Old, wanted)
	}
	table.Flush()
	for _, m := range r.Certificates {
		if m.Problem != "" {
			fmt.Fprintf(out, "%s: %s\n", m.Front, m.Problem)
		}
	}
}

func (r *report) printNeighbour(out io.Writer) {
	n := r.Neighbour
	fmt.Fprintf(out, "\nNEIGHBOUR  a vassal at %.0f requests/s, in calm and beside one that may work on %d requests at a time and gets %d × what it can do\n", n.Rate, noisyLimit, noisyOver)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, loads []load) {
		var p50, p99 []time.Duration
		var failed int64
		for _, l := range loads {
			p50, p99, failed = append(p50, l.Median), append(p99, l.P99), failed+l.Errors
		}
		fmt.Fprintf(table, "%s\tp50 %s\tp99 %s\t[%s–%s]\t%d errors\n", name, short(median(p50)), short(median(p99)), short(slices.Min(p99)), short(slices.Max(p99)), failed)
	}
	row("calm", n.Calm)
	row("storm", n.Storm)
	table.Flush()
	fmt.Fprintf(out, "p99, storm ÷ calm: %.2f [%.2f–%.2f]; wanted ≤ %.1f: %s\n", n.P99.Median, n.P99.Least, n.P99.Greatest, wantNeighbour, reached(n.P99.Median <= wantNeighbour))
	fmt.Fprintln(out, n.noise())
}

// noise says what became of the requests to the vassal that was driven too far.
func (n *neighbour) noise() string {
	var answered, refused, waiting, failed int64
	for _, noisy := range n.Noisy {
		answered, refused, waiting, failed = answered+noisy.Answered, refused+noisy.Refused, waiting+noisy.Waiting, failed+noisy.Errors
	}
	return fmt.Sprintf("of the other's requests %d were answered, %d refused with 503, %d waited at the end, %d failed", answered, refused, waiting, failed)
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

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
func short(d time.Duration) string  { return d.Round(10 * time.Microsecond).String() }
func cores() int                    { return runtime.NumCPU() }

// measured is short, or nothing for what was not measured.
func measured(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return short(d)
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
