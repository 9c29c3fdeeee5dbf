package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"emperor/emperor/control"
)

// TestPauseAndResume: new requests wait, what is under way goes on, a deploy meanwhile
// takes place, and nobody has lost anything.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", kinds[0].vassal)
	m.vassal("other", "chdir = DIR\ncommand = node webapp.js\n")
	m.start()
	m.untilRelease("site.test", "0")
	m.untilRelease("other.test", "0")
	begun, result := slowly(m, "site.test", "1")
	<-begun
	if out, code := m.order("pause", "site"); code != 0 || out != "site: paused, generation 1\n" {
		t.Fatalf("pause: exit %d, %q", code, out)
	}
	if got := <-result; !strings.HasSuffix(got, "done") {
		t.Errorf("the request under way ended with %q", got)
	}
	type answer struct {
		status int
		body   string
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		status, body, err := m.get("site.test", "/")
		answers <- answer{status, body, err}
	}()
	m.page("other.test", "/")
	m.write("RELEASE", "1")
	if out, code := m.order("reload", "site"); code != 0 || out != "site: paused, generation 2\n" {
		t.Errorf("reload: exit %d, %q", code, out)
	}
	select {
	case a := <-answers:
		t.Errorf("a request to a paused vassal was answered: %+v", a)
	default:
	}
	if out, code := m.order("resume", "site"); code != 0 || !runs(out, "site", 2) {
		t.Errorf("resume: exit %d, %q", code, out)
	}
	if a := <-answers; a.err != nil || a.status != http.StatusOK || !strings.HasPrefix(a.body, "release 1 ") {
		t.Errorf("the request that waited: %+v", a)
	}
	for _, word := range []string{"pause", "resume"} {
		if out, code := m.order(word, "nobody"); code != 1 || !strings.Contains(out, "no vassal") {
			t.Errorf("%s nobody: exit %d, %q", word, code, out)
		}
	}
}

// TestEvents: what happens to vassals comes at once, and what has happened is kept.
func TestEvents(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\n")
	m.start()
	m.untilRelease("site.test", "0")
	f := &machine{t: t, dir: m.dir, more: make(chan struct{})}
	f.run(exec.Command(emperorBinary(t), "events", "-f", "--control", m.path("control.sock")))
	f.waitLog(0, "site: starting → ready, generation 1, pids ")
	if out, code := m.order("restart", "site"); code != 0 {
		t.Fatalf("restart: %s", out)
	}
	f.waitLog(0, "site: ", "→ starting: the old generation ends before the new one starts")
	f.waitLog(0, "site: starting → ready, generation 2")
	m.vassal("bad", "socket = DIR/bad.sock\ncommand = sh -c 'exit 3'\n")
	f.waitLog(0, "bad: starting → failed: ended before it was ready: exit status 3")
	m.rules("route-host = (\n")
	f.waitLog(0, "emperor: the main file was not applied: ", "uwsgi.ini:4")
	m.rules(byName + "route-host = ^x$ return:204\n")
	f.waitLog(0, "emperor: the main file was applied: front")
	m.remove("vassals.d/bad.ini")
	f.waitLog(0, "bad: leaving → gone")

	if out, code := m.order("events", "site"); code != 0 || strings.Contains(out, "bad") || strings.Count(out, "→ ready") != 2 {
		t.Errorf("events site: exit %d\n%s", code, out)
	}
	var event control.Event
	if out, _ := m.order("events", "--json", "site"); json.NewDecoder(strings.NewReader(out)).Decode(&event) != nil || event.Vassal != "site" || event.State == "" || event.Time.IsZero() {
		t.Errorf("as JSON: %+v", event)
	}
	if err := f.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := f.waitExit(); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
}

// TestTop: what vassals use, the busiest first.
func TestTop(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", kinds[0].vassal)
	m.vassal("busy", "chdir = DIR\nport = auto\ncommand = sh -c 'while :; do :; done & exec node webapp.js'\n")
	m.start()
	m.untilRelease("site.test", "0")
	m.untilRelease("busy.test", "0")
	var top control.Top
	m.eventually("the busy one is seen, and so are requests", func() bool {
		out, code := m.order("top", "--once", "--json")
		if code != 0 || json.Unmarshal([]byte(out), &top) != nil {
			t.Fatalf("top: exit %d, %s", code, out)
		}
		return top.Router != nil && top.Router.Total > 0 && len(top.Vassals) == 2 && top.Vassals[0].Vassal == "busy" && top.Vassals[0].CPU > 0.05 && top.Vassals[1].Total > 0
	})
	site := top.Vassals[1]
	if site.Process != 5 || site.RSS < 1<<20 || top.Vassals[0].Process != 2 {
		t.Errorf("four workers and a master: %+v; a program and its child: %+v", site, top.Vassals[0])
	}
	if out, code := m.order("top", "--once", "site"); code != 0 || !strings.Contains(out, "VASSAL") || !strings.Contains(out, " site\n") || strings.Contains(out, "busy") {
		t.Errorf("top site: exit %d\n%s", code, out)
	}
}

// TestCompletion: the script that each shell is given completes subcommands, options and
// the names of vassals.
func TestCompletion(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("shop", "static = DIR\n")
	m.vassal("wiki", "static = DIR\n")
	m.start()
	m.waitReady()
	script, code := m.ask("completion", "bash")
	if code != 0 {
		t.Fatal(script)
	}
	m.put(m.path("script"), script)
	complete := func(words ...string) []string {
		t.Helper()
		list := "emperor"
		for _, word := range words {
			list += " '" + word + "'"
		}
		bash := exec.Command("bash", "-c", fmt.Sprintf(`. ./script; COMP_WORDS=(%s); COMP_CWORD=%d; _emperor; printf '%%s\n' "${COMPREPLY[@]}"`, list, len(words)))
		bash.Dir = m.dir
		bash.Env = append(os.Environ(), "PATH="+filepath.Dir(emperorBinary(t))+":"+os.Getenv("PATH"))
		out, err := bash.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Fields(string(out))
	}
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"rel"}, "reload"},
		{[]string{"re"}, "reload resume restart"},
		{[]string{"reload", "--control", m.path("control.sock"), ""}, "shop wiki"},
		{[]string{"why", "--control=" + m.path("control.sock"), "w"}, "wiki"},
		{[]string{"events", "--f"}, "--follow"},
		{[]string{"completion", "z"}, "zsh"},
		{[]string{"main.ini", "--emperor-wait-for-command-"}, "--emperor-wait-for-command-ignore"},
		{[]string{"run", "--emperor-hup"}, "--emperor-hup-reloads-vassals"},
		{[]string{"reload", "--control", m.path("none.sock"), ""}, ""},
	} {
		got, want := complete(test.words...), strings.Fields(test.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", test.words, got, want)
		}
	}
	for shell, words := range map[string]string{"zsh": "compdef _emperor emperor", "fish": "complete -c emperor"} {
		var out bytes.Buffer
		if err := runCompletion([]string{shell}, &out); err != nil || !strings.Contains(out.String(), words) {
			t.Errorf("%s: %v\n%s", shell, err, out.String())
		}
	}
	if err := runCompletion([]string{"tcsh"}, &bytes.Buffer{}); err == nil {
		t.Error("tcsh is no error")
	}
}

// TestWrappersAndNames: a wrapper runs what it is told to run, as ever, and the emperor
// is called what it is to be called.
func TestWrappersAndNames(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.write("wrapper", "#!/bin/sh\necho wrapped\nexec uwsgi \"$@\"\n")
	if err := os.Chmod(m.path("wrapper"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.rules(byName + "emperor-wrapper-override = /nowhere/wrapper\nemperor-wrapper-override = DIR/wrapper\nemperor-procname = head\n")
	m.vassal("site", threaded)
	m.start()
	m.untilRelease("site.test", "0")
	m.waitLog(0, "site | wrapped")
	if words := m.processes()[m.command.Process.Pid]; words != "head" {
		t.Errorf("the emperor is called %q", words)
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.command.Process.Pid)); err != nil || string(comm) != "head\n" {
		t.Errorf("in top %q, %v", comm, err)
	}
}
