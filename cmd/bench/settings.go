package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// settings are what the command line decides.
type settings struct {
	rounds      int
	duration    time.Duration // of one measurement
	connections int
	only        []string // fronts and extra figures wanted, see sections
	cases       []string
	logging     []string // off, on or both
	emperor     string   // path of the binary to measure
	json        string   // file for the results, "" for none
	plot        string   // folder for plots and tables, "" for none
	from        string   // file with results measured before
	deploys     int
	pairs       int           // of the section certificates
	settle      time.Duration // idle time before memory is read
	patience    time.Duration // to spend on repeating disturbed measurements
	keep        bool
}

// What -only takes beside fronts.
const (
	sectionIdle         = "idle"
	sectionIdleStreams  = "idle-streams"
	sectionNeighbour    = "neighbour"
	sectionMemory       = "memory"
	sectionDeploy       = "deploy"
	sectionCertificates = "certificates"
)

// What -logging takes.
const (
	loggingOff = "off"
	loggingOn  = "on"
)

func sections() []string {
	return append(frontNames(), sectionIdle, sectionIdleStreams, sectionNeighbour, sectionMemory, sectionDeploy, sectionCertificates)
}

func parseSettings(args []string, out io.Writer) (settings, error) {
	var s settings
	var only, cases, logging string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&s.rounds, "rounds", 5, "measure every front this many times, in turn")
	flags.DurationVar(&s.duration, "duration", 2*time.Second, "length of one measurement, whole `seconds`")
	flags.IntVar(&s.connections, "connections", 64, "connections kept busy with small requests")
	flags.StringVar(&only, "only", strings.Join(sections(), ","), "what to measure, a comma-separated `list` of these")
	flags.StringVar(&cases, "cases", strings.Join(caseNames(), ","), "ways to reach the backend, a comma-separated `list` of these")
	flags.StringVar(&logging, "logging", loggingOff+","+loggingOn, "without access log and statistics, with them, or both")
	flags.StringVar(&s.emperor, "emperor", "bin/emperor", "`path` of the emperor to measure")
	flags.StringVar(&s.json, "json", "", "also write the results to `file`, as JSON")
	flags.StringVar(&s.plot, "plot", "", "also write plots and tables into this `folder`")
	flags.StringVar(&s.from, "from", "", "measure nothing, but print and draw what -json wrote to `file`")
	flags.IntVar(&s.deploys, "deploys", 10, "how many edits of a vassal to time")
	flags.IntVar(&s.pairs, "pairs", 100_000, "certificates in the folder of the section certificates")
	flags.DurationVar(&s.settle, "settle", 10*time.Second, "idle `time` before memory is read")
	flags.DurationVar(&s.patience, "patience", time.Minute, "`time` to spend in all on repeating measurements that other programs disturbed")
	flags.BoolVar(&s.keep, "keep", false, "keep the temporary folder with configurations and logs")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if s.only, err = choose("-only", only, sections()); err != nil {
		return s, err
	}
	if s.cases, err = choose("-cases", cases, caseNames()); err != nil {
		return s, err
	}
	if s.logging, err = choose("-logging", logging, []string{loggingOff, loggingOn}); err != nil {
		return s, err
	}
	switch {
	case s.rounds < 1:
		return s, fmt.Errorf("-rounds %d: want 1 or more", s.rounds)
	case s.duration < time.Second || s.duration%time.Second != 0:
		return s, fmt.Errorf("-duration %v: want whole seconds, 1s or more (wrk counts in seconds)", s.duration)
	case s.connections < 1:
		return s, fmt.Errorf("-connections %d: want 1 or more", s.connections)
	case s.pairs <= certificatesAsked:
		return s, fmt.Errorf("-pairs %d: want more than %d, as many names are asked for", s.pairs, certificatesAsked)
	case s.deploys < 1:
		return s, fmt.Errorf("-deploys %d: want 1 or more", s.deploys)
	}
	if !s.measuresAny() && !slices.ContainsFunc([]string{sectionIdle, sectionIdleStreams, sectionNeighbour, sectionMemory, sectionDeploy, sectionCertificates}, s.wants) {
		return s, fmt.Errorf("-only %s -cases %s: nothing to measure (no such front knows such a case)", only, cases)
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

func (s settings) measuresAny() bool { return slices.ContainsFunc(frontNames(), s.measures) }

// needs tells whether a front is started for any of the figures wanted.
func (s settings) needs(front string) bool {
	return s.measures(front) ||
		slices.ContainsFunc(idleKinds, func(k idleKind) bool { return s.wants(k.section) && s.wants(front) && slices.Contains(k.fronts, front) }) ||
		s.wants(sectionCertificates) && s.wants(front) && slices.Contains(certificatesFronts, front)
}

func describeSettings(s settings) string {
	return fmt.Sprintf("%d rounds of %v; small requests over %d connections (wrk -t1), bodies over 8, handshakes and new streams 16 at a time", s.rounds, s.duration, s.connections)
}
