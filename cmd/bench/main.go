// Bench measures the front against nginx and uWSGI's own HTTP router, and what
// the emperor costs in memory and time, on the machine it runs on:
//
//	go run ./cmd/bench [-rounds 5] [-duration 3s] [-only emperor,nginx,uwsgi,memory,deploy]
//
// Throughput: every front stands before the same tiny backend (see backend.go)
// and is loaded by wrk with the same number of connections. All fronts are
// started once; then each round measures each of them in turn, and the order
// rotates, so that a minute in which the machine is busy with something else
// does not fall on one front alone. A figure is the median of the rounds; a
// ratio is the median of the ratios within each round. How busy the machine
// was with other programs is measured too: a measurement that they disturbed
// is taken again as long as -patience allows, and what is left is said.
//
// CPU per request is the processor time of all of a front's processes divided
// by the requests answered. On a machine where front, backend and wrk share the
// cores it is the steadier figure: requests/s also depend on what the others use.
//
// Bench needs wrk, and nginx and uwsgi for the comparison. Everything it starts
// listens on loopback or on sockets in a temporary folder and is ended with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are what the command line decides.
type settings struct {
	rounds      int
	duration    time.Duration // of one wrk run
	connections int
	only        []string // fronts and extra figures wanted, see sections
	cases       []string
	emperor     string // path of the binary to measure
	json        string // file for the results, "" for none
	deploys     int
	settle      time.Duration // idle time before memory is read
	patience    time.Duration // to spend on repeating disturbed measurements
	keep        bool
}

// Names that -only takes.
const (
	frontEmperor  = "emperor"
	frontNginx    = "nginx"
	frontUWSGI    = "uwsgi"
	sectionMemory = "memory"
	sectionDeploy = "deploy"
)

var sections = []string{frontEmperor, frontNginx, frontUWSGI, sectionMemory, sectionDeploy}

func init() {
	// The parent-death signal that ends our children with us is tied to the
	// thread that started them. Locking here ties main to the process's first
	// thread, which lives as long as the process does.
	runtime.LockOSThread()
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case backendCommand:
			fatalIf(runBackend(os.Args[2:]))
			return
		case vassalCommand:
			fatalIf(runVassal())
			return
		}
	}
	s, err := parseSettings(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	fatalIf(run(ctx, s, os.Stdout))
}

func fatalIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseSettings(args []string, out io.Writer) (settings, error) {
	var s settings
	var only, cases string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&s.rounds, "rounds", 5, "measure every front this many times, in turn")
	flags.DurationVar(&s.duration, "duration", 3*time.Second, "length of one measurement, whole `seconds`")
	flags.IntVar(&s.connections, "connections", 64, "connections that wrk keeps busy")
	flags.StringVar(&only, "only", strings.Join(sections, ","), "what to measure, a comma-separated `list` of these")
	flags.StringVar(&cases, "cases", strings.Join(caseNames(), ","), "ways to reach the backend, a comma-separated `list` of these")
	flags.StringVar(&s.emperor, "emperor", "bin/emperor", "`path` of the emperor to measure")
	flags.StringVar(&s.json, "json", "", "also write the results to `file`, as JSON")
	flags.IntVar(&s.deploys, "deploys", 10, "how many edits of a vassal to time")
	flags.DurationVar(&s.settle, "settle", 10*time.Second, "idle `time` between the 10,000 requests and reading the memory")
	flags.DurationVar(&s.patience, "patience", time.Minute, "`time` to spend in all on repeating measurements that other programs disturbed")
	flags.BoolVar(&s.keep, "keep", false, "keep the temporary folder with configurations and logs")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if s.only, err = choose("-only", only, sections); err != nil {
		return s, err
	}
	if s.cases, err = choose("-cases", cases, caseNames()); err != nil {
		return s, err
	}
	switch {
	case s.rounds < 1:
		return s, fmt.Errorf("-rounds %d: want 1 or more", s.rounds)
	case s.duration < time.Second || s.duration%time.Second != 0:
		return s, fmt.Errorf("-duration %v: want whole seconds, 1s or more (wrk counts in seconds)", s.duration)
	case s.connections < 1:
		return s, fmt.Errorf("-connections %d: want 1 or more", s.connections)
	case s.deploys < 1:
		return s, fmt.Errorf("-deploys %d: want 1 or more", s.deploys)
	}
	if !s.measuresAny() && !s.wants(sectionMemory) && !s.wants(sectionDeploy) {
		return s, fmt.Errorf("-only %s -cases %s: nothing to measure (uWSGI's router has the case uwsgi only)", only, cases)
	}
	return s, nil
}

// choose splits a list given on the command line and checks each name.
func choose(option, list string, known []string) ([]string, error) {
	var chosen []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s %q: want some of %s", option, name, strings.Join(known, ","))
		}
		chosen = append(chosen, name)
	}
	return chosen, nil
}

func (s settings) wants(section string) bool { return slices.Contains(s.only, section) }

// measures tells whether a front is wanted in at least one of the cases wanted.
func (s settings) measures(front string) bool {
	return slices.ContainsFunc(benchCases, func(c benchCase) bool { return c.wanted(s, front) })
}

func (s settings) measuresAny() bool {
	return s.measures(frontEmperor) || s.measures(frontNginx) || s.measures(frontUWSGI)
}

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	tools, err := findTools(s)
	if err != nil {
		return err
	}
	dir, err := workFolder()
	if err != nil {
		return err
	}
	defer func() {
		// After a failure the logs are what explains it.
		if s.keep || err != nil && ctx.Err() == nil {
			fmt.Fprintf(out, "\nconfigurations and logs are in %s\n", dir)
			return
		}
		os.RemoveAll(dir)
	}()

	result := &report{Machine: describeMachine(), Settings: describeSettings(s)}
	fmt.Fprintln(out, result.Machine)
	if s.measuresAny() {
		if result.Throughput, err = measureThroughput(ctx, s, tools, filepath.Join(dir, "throughput"), out); err != nil {
			return err
		}
		result.Ratios = ratios(result.Throughput)
		result.printThroughput(out)
	}
	if s.wants(sectionMemory) {
		if result.Memory, err = measureMemory(ctx, s, tools, filepath.Join(dir, "memory"), out); err != nil {
			return err
		}
		result.printMemory(out)
	}
	if s.wants(sectionDeploy) {
		if result.Deploy, err = measureDeploy(ctx, s, tools, filepath.Join(dir, "deploy"), out); err != nil {
			return err
		}
		result.printDeploy(out)
	}
	if s.json != "" {
		return result.writeJSON(s.json)
	}
	return nil
}

// workFolder makes the folder for sockets, configurations and logs. Fronts that
// were started as root give up their privileges, so it is open to all.
func workFolder() (string, error) {
	dir, err := os.MkdirTemp("", "emperor-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// tools are absolute paths of the programs needed.
type tools struct{ self, wrk, emperor, nginx, uwsgi string }

func findTools(s settings) (t tools, err error) {
	if t.self, err = os.Executable(); err != nil {
		return t, err
	}
	var missing []error
	find := func(into *string, name, hint string) {
		path, err := lookPath(name)
		if err != nil {
			missing = append(missing, fmt.Errorf("%s is not there: %s", name, hint))
		}
		*into = path
	}
	if s.measuresAny() {
		find(&t.wrk, "wrk", "it makes the load (Debian: apt-get install wrk)")
	}
	if s.measures(frontNginx) {
		find(&t.nginx, "nginx", "install it (Debian: apt-get install nginx-core) or leave it out with -only")
	}
	if s.measures(frontUWSGI) {
		find(&t.uwsgi, "uwsgi", "install it (Debian: apt-get install uwsgi-core) or leave it out with -only")
	}
	if s.measures(frontEmperor) || s.wants(sectionMemory) || s.wants(sectionDeploy) {
		find(&t.emperor, s.emperor, "build it with make build, say where it is with -emperor, or leave it out with -only")
	}
	return t, errors.Join(missing...)
}

// lookPath finds a program on PATH or in /usr/sbin, where Debian puts nginx and
// where the PATH of an ordinary user does not look.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && !strings.Contains(name, "/") {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}
