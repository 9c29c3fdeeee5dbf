package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// everything is a report with something in each of its parts.
func everything() *report {
	contenders := []*contender{
		contenderWith(frontEmperor, []float64{1200}, []time.Duration{10 * time.Microsecond}),
		contenderWith(frontNginx, []float64{1000}, []time.Duration{20 * time.Microsecond}),
		contenderWith(frontUWSGI, []float64{1000}, []time.Duration{30 * time.Microsecond}),
	}
	for _, c := range contenders {
		c.paced = []sample{{PerSecond: 500, CPU: 40 * time.Microsecond, Median: time.Millisecond, P99: 3 * time.Millisecond}}
	}
	r := &report{
		Machine: "a machine", Versions: map[string]string{toolNginx: "1.22.1", toolEmperor: "x", toolUWSGI: "2.0.21"},
		Throughput: summarise(contenders), Latency: summarisePaced(contenders, 500),
		Idle: []idle{{Front: frontEmperor, Connections: 10_000, Before: 10 << 20, With: 90 << 20}},
		Certificates: []massive{{Front: frontEmperor, Pairs: 100_000, Start: 1500 * time.Millisecond, Memory: 90 << 20, Swaps: 1000,
			First: []time.Duration{3 * time.Millisecond}, Again: []time.Duration{time.Millisecond}, Beyond: []time.Duration{2 * time.Millisecond}},
			{Front: frontHAProxy, Problem: "haproxy is not ready"}},
		Neighbour: &neighbour{Rate: 1000, Calm: []load{{P99: time.Millisecond}}, Storm: []load{{P99: 2 * time.Millisecond}}, P99: spread{2, 2, 2}},
		Memory:    &memory{Vassals: 10, Requests: 10_000, Sum: 31 << 20, Processes: []memoryOf{{1, "emperor run x.ini", 31 << 20}}},
		Deploy:    &deploy{Edits: 2, Started: []time.Duration{9 * time.Millisecond, 11 * time.Millisecond}},
	}
	r.compare()
	return r
}

func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder", "result.json")
	if err := everything().writeJSON(path); err != nil {
		t.Fatal(err)
	}
	r, err := readReport(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{"nginx (2)", "up to", "≥ 1.0, ≤ 1.0, ≤ 1.0: reached", "≥ 1.3: MISSED", "500 requests/s", "≤ 6 KiB each: MISSED",
		"storm ÷ calm: 2.00", "a folder of 100000 pairs", "− ≤ 1ms, 0, 0: MISSED", "haproxy: haproxy is not ready", "wanted ≤ 30 MiB: MISSED", "median 10ms", "not in the emperor's log", "Other programs took more than 10%"} {
		want = strings.Replace(want, "nginx (2)", withProcessors(frontNginx), 1)
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}

var image = regexp.MustCompile(`!\[[^\]]*\]\(([^)]+)\)`)

func TestPageAndPlots(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "figures")
	if err := everything().draw(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "FIGURES.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, found := range image.FindAllStringSubmatch(string(page), -1) {
		shown[found[1]] = true
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(files) != 7 || len(shown) != 7 {
		t.Errorf("%d plots and %d of them shown, %v, want 7", len(files), len(shown), err)
	}
	for _, file := range files {
		if !shown[filepath.Base(file)] {
			t.Errorf("%s is not on the page", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := xml.NewDecoder(bytes.NewReader(text)); ; {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v:\n%s", file, err, text)
			}
		}
		if !strings.Contains(string(text), "prefers-color-scheme: dark") || !strings.Contains(string(text), "emperor (") {
			t.Errorf("%s lacks its dark colours or its bars:\n%s", file, text)
		}
	}
}

func TestFigure(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 0.567: "0.57", 12.34: "12.3", 999: "999", 1234567: "1,234,567"} {
		if got := figure(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}
