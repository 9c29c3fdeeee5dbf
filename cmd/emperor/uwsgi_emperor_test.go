package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
)

// document connects and reads to the end, as uwsgitop and its like do.
func document(network, address string) (map[string]any, string, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(conn)
	if err != nil {
		return nil, "", err
	}
	var all map[string]any
	err = json.Unmarshal(text, &all)
	return all, string(text), err
}

// vassalIn picks a vassal, or a blacklisted one, of a document.
func vassalIn(all map[string]any, list, id string) map[string]any {
	entries, _ := all[list].([]any)
	for _, entry := range entries {
		if v, _ := entry.(map[string]any); v["id"] == id {
			return v
		}
	}
	return nil
}

// realEmperor runs uWSGI's, up to the test's end.
func (m *machine) realEmperor(arguments ...string) {
	m.t.Helper()
	real := exec.Command("uwsgi", arguments...)
	real.Dir = m.dir
	if err := real.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = real.Process.Signal(syscall.SIGINT)
		_ = real.Wait()
	})
}

// TestStatsAreThoseOfUWSGI: every key that a real emperor sends is there, with a value
// of the same type and, where it is about the same thing, the same value; and in the
// same order.
func TestStatsAreThoseOfUWSGI(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	files := func(dir string) {
		m.write(dir+"/site.ini", "[uwsgi]\nsocket = DIR/"+dir+".sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\nheartbeat = 1\n")
		m.write(dir+"/bad.ini", "[uwsgi]\nsocket = DIR/"+dir+"-bad.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/missing.py\nneed-app = true\n")
		m.write(dir+"/asleep.ini", "[uwsgi]\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\n")
		m.write(dir+"/asleep.ini.socket", m.path(dir+"-asleep.sock")+"\n")
	}
	files("theirs")
	files("ours")

	m.realEmperor("--emperor", m.path("theirs"), "--emperor-stats", m.path("theirs.stats"), "--emperor-on-demand-extension", ".socket")
	m.write("uwsgi.ini", "[uwsgi]\nemperor = DIR/ours\nemperor-stats = DIR/ours.stats\nemperor-on-demand-extension = .socket\nstats = 127.0.0.1:PORT\n")
	m.start()

	complete := func(socket string) (all map[string]any, text string) {
		m.eventually("all of it at "+socket, func() bool {
			var err error
			all, text, err = document("unix", m.path(socket))
			return err == nil && vassalIn(all, "vassals", "site.ini")["accepting"] == 1.0 && vassalIn(all, "vassals", "asleep.ini") != nil && vassalIn(all, "blacklist", "bad.ini") != nil
		})
		return all, text
	}
	theirs, _ := complete("theirs.stats")
	ours, text := complete("ours.stats")
	compareKeys(t, "", theirs, ours)
	for _, id := range []string{"site.ini", "asleep.ini"} {
		a, b := vassalIn(theirs, "vassals", id), vassalIn(ours, "vassals", id)
		compareKeys(t, id, a, b)
		for _, key := range []string{"loyal", "ready", "accepting", "cursed", "zerg", "uid", "gid", "respawns", "last_loyal"} {
			if a[key] != b[key] {
				t.Errorf("%s: %s is %v, want %v", id, key, b[key], a[key])
			}
		}
	}
	compareKeys(t, "blacklist", vassalIn(theirs, "blacklist", "bad.ini"), vassalIn(ours, "blacklist", "bad.ini"))
	asleep := vassalIn(ours, "vassals", "asleep.ini")
	if asleep["pid"] != -1.0 || asleep["on_demand"] != m.path("ours-asleep.sock") || asleep["monitor"] != m.path("ours") {
		t.Errorf("the one that sleeps: %v", asleep)
	}
	site := vassalIn(ours, "vassals", "site.ini")
	info, err := os.Stat(m.path("ours/site.ini"))
	if err != nil {
		t.Fatal(err)
	}
	if site["last_mod"] != float64(info.ModTime().Unix()) || site["born"] != site["last_mod"] || site["pid"].(float64) < 2 || site["first_run"].(float64) < site["last_mod"].(float64) {
		t.Errorf("the one that runs: %v", site)
	}
	// Scripts that look for texts find them, in uWSGI's order.
	rest := text
	for _, word := range []string{"{\n\t\"version\":\"", "\n\t\"pid\":" + strconv.Itoa(m.command.Process.Pid) + ",", "\n\t\"vassals\":[\n\t\t{\n\t\t\t\"id\":\"asleep.ini\",\n\t\t\t\"pid\":-1,", "\n\t\"blacklist\":["} {
		_, after, ok := strings.Cut(rest, word)
		if !ok {
			t.Fatalf("no %q in\n%s", word, text)
		}
		rest = after
	}

	m.eventually("the heartbeat shows", func() bool {
		all, _, err := document("unix", m.path("ours.stats"))
		beat, _ := vassalIn(all, "vassals", "site.ini")["last_heartbeat"].(float64)
		return err == nil && beat > site["first_run"].(float64)
	})
	// A reload shows; the other address has the same.
	m.touch("ours/site.ini")
	m.eventually("the reload shows", func() bool {
		all, _, err := document("tcp", m.address())
		return err == nil && vassalIn(all, "vassals", "site.ini")["respawns"] == 1.0
	})
	// Another address, and as HTTP, by an edit.
	m.write("uwsgi.ini", "[uwsgi]\nemperor = DIR/ours\nemperor-on-demand-extension = .socket\nstats = 127.0.0.1:PORT\nstats-http = true\nstats-minified = true\n")
	m.eventually("the stats by HTTP", func() bool {
		conn, err := net.Dial("tcp", m.address())
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		text, err := io.ReadAll(conn)
		head, body, _ := strings.Cut(string(text), "\r\n\r\n")
		return err == nil && strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") && strings.Contains(head, "Content-Type: application/json") && strings.HasPrefix(body, `{"version":"`)
	})
	m.eventually("the old address is gone", func() bool { return !exists(m.path("ours.stats")) })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// compareKeys wants all keys of theirs in ours, with values of the same type.
func compareKeys(t *testing.T, where string, theirs, ours map[string]any) {
	t.Helper()
	if len(theirs) == 0 {
		t.Errorf("%s: uWSGI's emperor has nothing", where)
	}
	for key, value := range theirs {
		got, ok := ours[key]
		if !ok || fmt.Sprintf("%T", got) != fmt.Sprintf("%T", value) {
			t.Errorf("%s %s is %T (%v), want %T (%v)", where, key, got, got, value, value)
		}
	}
}

// TestSlowReaderOfStats: who connects and reads nothing is in nobody's way.
func TestSlowReaderOfStats(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.rules(byName + "emperor-stats = DIR/stats.sock\n")
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\n")
	m.start()
	m.untilRelease("site.test", "0")
	for range 80 { // more than are served at a time
		conn, err := net.Dial("unix", m.path("stats.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	m.write("RELEASE", "1")
	if out, code := m.order("reload", "site"); code != 0 {
		t.Errorf("reload: exit %d, %s", code, out)
	}
	m.untilRelease("site.test", "1")
	m.eventually("others are served again", func() bool {
		all, _, err := document("unix", m.path("stats.sock"))
		return err == nil && all["pid"] == float64(m.command.Process.Pid)
	})
}

// TestSignalsOfUWSGI: what uWSGI's emperor does at each of its signals.
func TestSignalsOfUWSGI(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.rules(byName + "emperor-hup-reloads-vassals = true\nemperor-throttle = 100000\nemperor-pidfile = DIR/emperor.pid\npidfile = DIR/other.pid\n")
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\n")
	m.vassal("stopped", "chdir = DIR\ncommand = node webapp.js\n")
	m.vassal("bad", "chdir = DIR\ncommand = sh -c 'test -e DIR/mended && exec node webapp.js'\nport = auto\n")
	m.start()
	m.untilRelease("site.test", "0")
	m.waitLog(0, "bad: the vassal did not start")
	for _, name := range []string{"emperor.pid", "other.pid"} {
		if text, err := os.ReadFile(m.path(name)); err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(m.command.Process.Pid) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if out, code := m.order("stop", "stopped"); code != 0 {
		t.Fatalf("stop: %s", out)
	}

	m.signal(syscall.SIGUSR1)
	m.waitLog(0, "site: status", "state=ready", "pids=")
	m.waitLog(0, "bad: status", "state=failed")

	m.write("RELEASE", "1")
	m.signal(syscall.SIGHUP)
	m.untilRelease("site.test", "1")
	m.waitLog(0, "SIGHUP: reading the main file again")
	if state := m.state("stopped"); state != "stopped" {
		t.Errorf("SIGHUP made a stopped vassal %s", state)
	}

	// Amnesty: the back-off would last for 100 seconds.
	m.write("mended", "")
	m.signal(syscall.SIGURG)
	m.untilState("bad", "ready")

	mark := m.mark()
	m.signal(syscall.SIGWINCH)
	m.waitLog(mark, "SIGWINCH")
	// What kills uWSGI's emperor, and its vassals with it.
	m.signal(syscall.SIGUSR2)
	m.signal(syscall.SIGALRM)
	m.waitLog(mark, "signal ignored", "alarm")
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", m.pidOf("webapp.js"))); err != nil || strings.Contains(string(text), "GODEBUG") {
		t.Errorf("a vassal's environment: %v\n%s", err, text)
	}
	m.signal(syscall.SIGQUIT)
	if code := m.waitExit(); code != 0 {
		t.Errorf("SIGQUIT: exit %d", code)
	}
	m.command = nil
	for _, name := range []string{"emperor.pid", "other.pid"} {
		if exists(filepath.Join(m.dir, name)) {
			t.Errorf("%s is left", name)
		}
	}
}

// packet is a command as uWSGI's tools send it.
func packet(pairs ...string) []byte {
	b := make([]byte, 4)
	for _, text := range pairs {
		b = append(b, byte(len(text)), byte(len(text)>>8))
		b = append(b, text...)
	}
	return b
}

// TestCommandSocket: the verbs of uWSGI 2.1.
func TestCommandSocket(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	udp := "127.0.0.1:" + testport.Free(t)
	m.rules(byName + "emperor-command-socket = DIR/commands\nemperor-command-socket = " + udp + "\nemperor-trigger-socket = DIR/trigger\nemperor-wait-for-command = true\nemperor-wait-for-command-ignore = eager.ini\nemperor-freq = 3600\n")
	m.vassal("site", "chdir = DIR\ncommand = node webapp.js\n")
	m.vassal("eager", "chdir = DIR\ncommand = node webapp.js\n")
	m.start()
	m.untilRelease("eager.test", "0")
	m.untilState("site", "stopped")
	if text, _ := m.order("why", "site"); !strings.Contains(text, "waits for an order to start") {
		t.Errorf("why site: %s", text)
	}
	send := func(network, address string, b []byte) {
		t.Helper()
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	commands := m.path("commands")
	send("unixgram", commands, packet("cmd", "spawn", "vassal", "site.ini"))
	m.untilRelease("site.test", "0")
	m.write("RELEASE", "1")
	send("udp", udp, packet("vassal", m.path("vassals.d/site.ini"), "command", "respawn"))
	m.untilRelease("site.test", "1")
	send("unixgram", commands, packet("cmd", "stop", "vassal", "site"))
	m.untilState("site", "stopped")
	send("unixgram", commands, packet("cmd", "log", "msg", "a word to all"))
	m.waitLog(0, "a word to all")
	for _, wrong := range []struct {
		packet []byte
		says   string
	}{
		{[]byte("x"), "want a command of uWSGI"},
		{packet("cmd", "spawn")[:9], "a length points behind its end"},
		{packet("cmd", "dance", "vassal", "site"), "unknown command: want spawn, respawn, stop or log"},
		{packet("cmd", "spawn", "vassal", "nobody"), "there is eager and site"},
	} {
		send("unixgram", commands, wrong.packet)
		m.waitLog(0, wrong.says)
	}
	conn, err := net.Dial("unix", m.path("trigger"))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the trigger: %v", err)
	}
	_ = conn.Close()
	m.stop()
	for _, name := range []string{"commands", "trigger"} {
		if exists(m.path(name)) {
			t.Errorf("%s is left", name)
		}
	}
}
