package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// draw writes a chart for each case, and FIGURES.md with the charts and all
// figures as tables, into a folder.
func (r *report) draw(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# Figures\n\nWritten by `make bench`; [README.md](%s) says how they were taken and what they mean.\n\n%s  \n%s\n\n", readmeFrom(dir), r.Machine, r.Settings)
	r.pageFronts(&page)
	for _, c := range r.charts() {
		if err := c.write(dir); err != nil {
			return err
		}
	}
	r.pageThroughput(&page)
	r.pageRatios(&page)
	r.pageRest(&page)
	return os.WriteFile(filepath.Join(dir, "FIGURES.md"), []byte(page.String()), 0o644)
}

// readmeFrom is the way to the page about the method: a part of the figures may be
// in a folder below it.
func readmeFrom(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
		if _, err := os.Stat(filepath.Join(dir, "..", "README.md")); err == nil {
			return "../README.md"
		}
	}
	return "README.md"
}

// charts are: throughput and processor time of each case, the latencies, the
// memory of idle connections.
func (r *report) charts() []chart {
	var all []chart
	find := func(file, title, unit string) *chart {
		for i := range all {
			if all[i].file == file {
				return &all[i]
			}
		}
		all = append(all, chart{file: file, title: title, unit: unit})
		return &all[len(all)-1]
	}
	for _, t := range r.Throughput {
		c := find(chartFile(t, "rate"), t.title(), caseNamed(t.Case).unit())
		c.add(t.Front, spread{t.Summary.PerSecond, t.Least.PerSecond, t.Greatest.PerSecond})
	}
	for _, t := range r.Throughput {
		c := find(chartFile(t, "cpu"), t.title(), "CPU of the front, µs for each request")
		c.add(t.Front, spread{micro(t.Summary.CPU), micro(t.Least.CPU), micro(t.Greatest.CPU)})
	}
	for _, l := range r.Latency {
		c := find(chartFile(l.throughput, "p99"), fmt.Sprintf("%s, %.0f requests/s", l.title(), l.Rate), "99th percentile of latency, ms")
		c.add(l.Front, spread{micro(l.Summary.P99) / 1000, micro(l.Least.P99) / 1000, micro(l.Greatest.P99) / 1000})
	}
	for _, i := range r.Idle {
		what := "keep-alive connections"
		if i.Streams {
			what = "streams"
		}
		c := find(i.kind(), fmt.Sprintf("%d idle %s", i.Connections, what), "memory (PSS) for each of them, KiB")
		each := i.each() / 1024
		c.add(i.Front, spread{each, each, each})
	}
	for _, m := range r.Certificates {
		title := fmt.Sprintf("a folder of %d certificates", m.Pairs)
		if len(m.First) == 0 {
			continue
		}
		start, memory := m.Start.Seconds(), mebibytes(m.Memory)
		find("certificates-start", title, "start, s").add(m.Front, spread{start, start, start})
		find("certificates-memory", title, "memory (PSS) after the handshakes, MiB").add(m.Front, spread{memory, memory, memory})
		first := slices.Sorted(slices.Values(m.First))
		find("certificates-first", title, "first handshake of a name, ms, up to the 99th percentile").add(m.Front,
			spread{micro(median(first)) / 1000, micro(first[0]) / 1000, micro(quantile(first, 0.99)) / 1000})
	}
	return all
}

// chartFile names a chart: uwsgi-rate, uwsgi-logged-rate.
func chartFile(t throughput, figure string) string {
	if t.Logged {
		return t.Case + "-logged-" + figure
	}
	return t.Case + "-" + figure
}

func (c *chart) add(front string, value spread) {
	f := frontNamed(front)
	c.bars = append(c.bars, bar{label: withProcessors(front), value: value, ours: f.tool == toolEmperor,
		weaker: front == frontEmperorAll || front == frontNginxOne || front == frontUWSGIAll})
}

func (r *report) pageFronts(page *strings.Builder) {
	page.WriteString("| front | what it is | processors it may use | version |\n|---|---|---|---|\n")
	for _, f := range fronts {
		if version, known := r.Versions[f.tool]; known {
			fmt.Fprintf(page, "| %s | %s | %d | %s |\n", f.name, f.meant, f.processors, version)
		}
	}
}

func (r *report) pageThroughput(page *strings.Builder) {
	for _, test := range benchCases {
		for _, logged := range []bool{false, true} {
			first := true
			for _, t := range r.Throughput {
				if t.Case != test.name || t.Logged != logged {
					continue
				}
				if first {
					first = false
					r.pageHeading(page, t)
				}
				r.pageRow(page, t)
			}
		}
	}
}

// pageHeading begins the table of a case with its charts.
func (r *report) pageHeading(page *strings.Builder, t throughput) {
	fmt.Fprintf(page, "\n## %s\n\n", t.title())
	fmt.Fprintf(page, "![throughput](%s.svg)\n", chartFile(t, "rate"))
	fmt.Fprintf(page, "![processor time](%s.svg)\n", chartFile(t, "cpu"))
	l := r.latencyOf(t)
	if l != nil {
		fmt.Fprintf(page, "![latency](%s.svg)\n", chartFile(t, "p99"))
	}
	fmt.Fprintf(page, "\n| front | %s | CPU µs/request | errors | load's CPU | others' CPU |", caseNamed(t.Case).unit())
	rule := "\n|---|---|---|---|---|---|"
	if t.logged() != "" {
		page.WriteString(" lines logged |")
		rule += "---|"
	}
	if l != nil {
		fmt.Fprintf(page, " p50 at %.0f/s | p99 at %.0f/s |", l.Rate, l.Rate)
		rule += "---|---|"
	}
	page.WriteString(rule + "\n")
}

func (r *report) pageRow(page *strings.Builder, t throughput) {
	fmt.Fprintf(page, "| %s | %s [%s–%s] | %.1f [%.1f–%.1f] | %d | %.0f%% | %.0f%% |", withProcessors(t.Front),
		figure(t.Summary.PerSecond), figure(t.Least.PerSecond), figure(t.Greatest.PerSecond),
		micro(t.Summary.CPU), micro(t.Least.CPU), micro(t.Greatest.CPU), t.Summary.Errors, 100*t.Summary.Load, 100*t.Summary.Others)
	if logged := t.logged(); logged != "" {
		fmt.Fprintf(page, " %s |", logged)
	}
	if l := r.latencyOf(t); l != nil {
		row := func(median, least, greatest time.Duration) {
			fmt.Fprintf(page, " %s [%s–%s] |", short(median), short(least), short(greatest))
		}
		row(l.Summary.Median, l.Least.Median, l.Greatest.Median)
		row(l.Summary.P99, l.Least.P99, l.Greatest.P99)
	}
	page.WriteString("\n")
}

func (r *report) pageRatios(page *strings.Builder) {
	if len(r.Ratios) == 0 {
		return
	}
	page.WriteString("\n## Ratios\n\nThe emperor's figure divided by the other's, median of the rounds, with least and greatest. p99 is at the same rate.\n\n" +
		"| case | log | front | against | per second | CPU per request | p99 | wanted |\n|---|---|---|---|---|---|---|---|\n")
	for _, ratio := range r.Ratios {
		fmt.Fprintf(page, "| %s | %s | %s | %s | %.2f [%.2f–%.2f] | %.2f [%.2f–%.2f] | %s | %s |\n", ratio.Case, onOff(ratio.Logged),
			withProcessors(ratio.Front), withProcessors(ratio.Against),
			ratio.PerSecond.Median, ratio.PerSecond.Least, ratio.PerSecond.Greatest,
			ratio.CPU.Median, ratio.CPU.Least, ratio.CPU.Greatest, ratio.p99(), ratio.verdict())
	}
}

// pageRest shows what is about the emperor alone as it is printed.
func (r *report) pageRest(page *strings.Builder) {
	if len(r.Idle) > 0 {
		page.WriteString("\n## Idle connections\n\n")
		for _, kind := range idleKinds {
			if slices.ContainsFunc(r.Idle, func(i idle) bool { return i.kind() == kind.section }) {
				fmt.Fprintf(page, "![memory](%s.svg)\n", kind.section)
			}
		}
	}
	if len(r.Certificates) > 0 {
		page.WriteString("\n## Certificates\n\n![start](certificates-start.svg)\n![memory](certificates-memory.svg)\n![first handshake](certificates-first.svg)\n")
	}
	rest := report{Idle: r.Idle, Certificates: r.Certificates, Neighbour: r.Neighbour, Memory: r.Memory, Deploy: r.Deploy}
	var text strings.Builder
	rest.printRest(&text)
	if text.Len() > 0 {
		fmt.Fprintf(page, "\n```\n%s\n```\n", strings.TrimSpace(text.String()))
	}
}
