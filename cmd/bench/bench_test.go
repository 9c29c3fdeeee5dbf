package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseSettings(t *testing.T) {
	s, err := parseSettings([]string{"-rounds", "3", "-duration", "2s", "-only", "nginx, uwsgi", "-cases", "http", "-logging", "on"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s.rounds != 3 || s.duration != 2*time.Second || !s.wants(frontNginx) || s.wants(frontEmperor) || s.wants(sectionMemory) || !slices.Equal(s.logging, []string{loggingOn}) {
		t.Errorf("settings are %+v", s)
	}
	if !caseNamed("http").wanted(s, frontNginx) || caseNamed("uwsgi").wanted(s, frontNginx) || caseNamed("http").wanted(s, frontUWSGI) {
		t.Error("want the case http with nginx only: uWSGI's router does not speak it")
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-only", "apache"}, `-only "apache": want some of emperor,`},
		{[]string{"-cases", ""}, `-cases ""`},
		{[]string{"-logging", "yes"}, `-logging "yes": want some of off,on`},
		{[]string{"-duration", "1500ms"}, "whole seconds"},
		{[]string{"-rounds", "0"}, "1 or more"},
		{[]string{"-connections", "0"}, "1 or more"},
		{[]string{"-deploys", "0"}, "1 or more"},
		{[]string{"-pairs", "1000"}, "more than 1000"},
		{[]string{"-only", "uwsgi", "-cases", "http"}, "nothing to measure"},
		{[]string{"fast"}, `unexpected argument "fast"`},
	} {
		if _, err := parseSettings(test.args, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q", test.args, err, test.want)
		}
	}
}

func TestMissingToolsAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := findTools(t.Context(), settings{only: []string{frontEmperor, frontCaddy}, cases: caseNames(), emperor: "bin/no-such-emperor"}, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"wrk is not there", "bin/no-such-emperor is not there: build it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error is %q, want %q in it", err, want)
		}
	}
}

const wrkReport = `Running 3s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.10ms  800.00us  12.00ms   90.00%
    Req/Sec    28.10k     1.20k   30.00k    70.00%
  Latency Distribution
     50%  635.00us
     75%    1.10ms
     90%    1.90ms
     99%    4.20ms
  84123 requests in 3.00s, 12.34MB read
`

func TestParseWrk(t *testing.T) {
	good, err := parseWrk(wrkReport + "Requests/sec:  28041.50\nTransfer/sec:      4.11MB\n")
	want := load{Requests: 84123, PerSecond: 28041.5, Median: 635 * time.Microsecond, P99: 4200 * time.Microsecond}
	if err != nil || good != want {
		t.Errorf("got %+v, %v, want %+v", good, err, want)
	}
	bad, err := parseWrk(wrkReport + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\nRequests/sec:  28041.50\n")
	if err != nil || bad.Errors != 110 {
		t.Errorf("errors: got %d, %v, want 110", bad.Errors, err)
	}
	for _, text := range []string{"", "unable to connect to 127.0.0.1:8080 Connection refused\n", wrkReport} {
		if _, err := parseWrk(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestParseStat(t *testing.T) {
	// A name with a space and a parenthesis must not shift the fields.
	text := "4711 (a) b (c) S 12 4711 4711 0 -1 4194560 100 0 0 0 150 50 7 3 20 0 5 0 12345 1000 100\n"
	p, err := parseStat(text)
	want := process{pid: 4711, parent: 12, cpu: 2100 * time.Millisecond}
	if err != nil || p != want {
		t.Errorf("got %+v, %v, want %+v", p, err, want)
	}
	for _, text := range []string{"", "4711", "4711 (a) S 12", "x (a) S 12 1 1 0 -1 1 1 0 0 0 1 1 1 1 20", ")("} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestParseMachineStat(t *testing.T) {
	busy, stolen, err := parseMachineStat("cpu  100 10 50 9000 5 1 2 7 0 0\ncpu0 1 2\n")
	if err != nil || busy != 1630*time.Millisecond || stolen != 70*time.Millisecond {
		t.Errorf("got busy %v, stolen %v, %v", busy, stolen, err)
	}
	if _, _, err := parseMachineStat("cpu0 1 2 3\n"); err == nil {
		t.Error("no error for a line of another kind")
	}
}

func TestParsePSS(t *testing.T) {
	text := "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:   1234 kB\nPss_Anon: 1000 kB\n"
	if pss, err := parsePSS([]byte(text), "smaps_rollup"); err != nil || pss != 1234<<10 {
		t.Errorf("got %d, %v", pss, err)
	}
	if _, err := parsePSS([]byte("Rss: 1 kB\n"), "smaps_rollup"); err == nil {
		t.Error("no error without a Pss line")
	}
}

func TestProcessTreeKnowsThisProcess(t *testing.T) {
	tree, err := processTree(os.Getpid())
	if err != nil || len(tree) == 0 || tree[0].pid != os.Getpid() || tree[0].parent != os.Getppid() {
		t.Errorf("got %+v, %v", tree, err)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 100}, 3.5}} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.values, got, test.want)
		}
	}
}

func contenderWith(front string, perSecond []float64, cpu []time.Duration) *contender {
	c := &contender{front: front, test: benchCases[0]}
	for i := range perSecond {
		c.samples = append(c.samples, sample{PerSecond: perSecond[i], CPU: cpu[i], Requests: 10, Errors: 1, Others: 0.5})
	}
	return c
}

// A round in which the machine was slow for everybody must not show in a ratio.
func TestRatiosCompareWithinRounds(t *testing.T) {
	r := &report{Throughput: summarise([]*contender{
		contenderWith(frontEmperor, []float64{120, 12, 240}, []time.Duration{10, 100, 5}),
		contenderWith(frontNginx, []float64{100, 10, 200}, []time.Duration{20, 200, 10}),
	})}
	r.compare()
	want := []ratio{{Case: "uwsgi", Front: frontEmperor, Against: frontNginx, PerSecond: spread{1.2, 1.2, 1.2}, CPU: spread{0.5, 0.5, 0.5}}}
	if !slices.Equal(r.Ratios, want) {
		t.Errorf("got %+v, want %+v", r.Ratios, want)
	}
	if s := r.Throughput[0]; s.Summary.PerSecond != 120 || s.Least.PerSecond != 12 || s.Greatest.PerSecond != 240 || s.Summary.Requests != 30 || s.Summary.Errors != 3 {
		t.Errorf("summary is %+v", s)
	}
}

func TestVerdicts(t *testing.T) {
	good, bad := spread{1.4, 1.4, 1.4}, spread{0.7, 0.7, 0.7}
	for _, test := range []struct {
		ratio ratio
		want  string
	}{
		{ratio{Case: "uwsgi", Front: frontEmperor, Against: frontNginx, PerSecond: good, CPU: bad, P99: bad}, "≥ 1.0, ≤ 1.0, ≤ 1.0: reached"},
		{ratio{Case: "uwsgi", Front: frontEmperor, Against: frontNginx, PerSecond: good, CPU: bad, P99: good}, "≥ 1.0, ≤ 1.0, ≤ 1.0: MISSED"},
		{ratio{Case: "http", Front: frontEmperorAll, Against: frontCaddy, PerSecond: good}, "≥ 2.0: MISSED"},
		{ratio{Case: "uwsgi", Front: frontEmperor, Against: frontUWSGI, PerSecond: good}, "≥ 1.3: reached"},
		{ratio{Case: "http-upload", Front: frontEmperor, Against: frontNginx, PerSecond: bad}, "≥ 0.9: MISSED"},
		{ratio{Case: "rules", Front: frontManyRules, Against: frontEmperor, CPU: good}, "CPU ≤ 1.2: MISSED"},
		{ratio{Case: "https", Front: frontEmperor, Against: frontNginx, PerSecond: good, CPU: bad}, "≥ 1.0: reached"},
		{ratio{Case: "handshake-ecdsa", Front: frontEmperor, Against: frontNginx, PerSecond: bad}, "≥ 0.9: MISSED"},
		{ratio{Case: "handshake-rsa", Front: frontEmperor, Against: frontNginx, PerSecond: bad}, ""},
		{ratio{Case: "websocket", Front: frontEmperor, Against: frontNginx, PerSecond: good}, ""},
		{ratio{Case: "stream-connections", Front: frontEmperor, Against: frontNginx, PerSecond: bad}, "≥ 1.0: MISSED"},
		{ratio{Case: "stream-download", Front: frontEmperor, Against: frontNginx, CPU: bad}, "CPU ≤ 1.0: reached"},
		{ratio{Case: "stream-upload", Front: frontEmperor, Against: frontHAProxy, PerSecond: bad}, "≥ 0.95: MISSED"},
		{ratio{Case: "stream-messages", Front: frontEmperor, Against: frontHAProxy, PerSecond: good}, ""},
	} {
		if got := test.ratio.verdict(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.ratio, got, test.want)
		}
	}
}

func TestDeployLogged(t *testing.T) {
	log := "10:00:00 INFO site: started pid=12 since_edit=4.1ms generation=2\n" +
		"10:00:01 INFO site: ready\n10:00:02 INFO site: started since_edit=6ms\n10:00:03 since_edit=soon\n"
	if got, want := deployLogged(log), []time.Duration{4100 * time.Microsecond, 6 * time.Millisecond}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Every front that has rules gets ten, so that none is measured with an easier task.
func TestFrontsGetTheSameSites(t *testing.T) {
	for _, test := range []struct {
		front, file, mark string
		want              int
	}{
		{front: frontEmperor, file: "emperor.ini", mark: "route-sni = ", want: 8},
		{front: frontNginx, file: "nginx.conf", mark: "upstream ", want: 8},
		{front: frontHAProxy, file: "hosts.map", mark: "\n", want: 8},
		{front: frontSNIProxy, file: "sniproxy.conf", mark: "\\.test$ ", want: 8},
	} {
		dir := t.TempDir()
		if _, err := frontNamed(test.front).prepare(setup{dir: dir, address: "127.0.0.1:1", backend: "/backend", stream: "127.0.0.1:2"}); err != nil {
			t.Fatal(err)
		}
		expectMarks(t, test.front, filepath.Join(dir, test.file), test.mark, test.want)
	}
	for _, test := range []struct {
		front, file, mark string
		want              int
	}{
		{frontEmperor, "emperor.ini", "route-host = ", 10},
		{frontManyRules, "emperor.ini", "route-host = ", 10_000},
		{frontNginx, "nginx.conf", "server_name ", 10},
		{frontHAProxy, "hosts.map", "\n", 8}, // no uwsgi
		{frontCaddy, "Caddyfile", "reverse_proxy", 8},
	} {
		dir := t.TempDir()
		if _, err := frontNamed(test.front).prepare(setup{dir: dir, address: "127.0.0.1:1", backend: "/backend"}); err != nil {
			t.Fatal(err)
		}
		expectMarks(t, test.front, filepath.Join(dir, test.file), test.mark, test.want)
	}
	p, err := frontNamed(frontRouteHost).prepare(setup{dir: t.TempDir(), address: "127.0.0.1:1", backend: "/backend"})
	if got := strings.Count(strings.Join(p.args, " "), "--route-host "); err != nil || got != 10 {
		t.Errorf("route-host: %d rules, %v, want 10", got, err)
	}
}

func expectMarks(t *testing.T, front, file, mark string, want int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), mark); got != want {
		t.Errorf("%s, %s: %d times %q, want %d", front, filepath.Base(file), got, mark, want)
	}
}

func TestChildThatEndsSaysWhy(t *testing.T) {
	c, err := start("short", t.TempDir(), program{path: "/bin/sh", args: []string{"-c", "echo no such option; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	err = c.waitFor(context.Background(), time.Minute, func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("error is %v, want the exit status and the output", err)
	}
}

// What a child leaves running in its group ends with it.
func TestStopEndsTheGroup(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := start("parent", dir, program{path: "/bin/sh", args: []string{"-c", "sleep 600 >pipe & wait"}})
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(pipe) // returns when the grandchild has opened its end
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	c.stop()
	if _, err := io.ReadAll(held); err != nil { // ends with the last process that holds the other end
		t.Fatal(err)
	}
}
