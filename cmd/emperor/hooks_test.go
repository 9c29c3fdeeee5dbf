package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"emperor/emperor/control"
	"emperor/internal/testport"
)

// noted are the lines of a file of the folder.
func (m *machine) noted(name string) []string {
	text, _ := os.ReadFile(m.path(name))
	return strings.Fields(string(text))
}

// open makes the folder writable for everybody: hooks run as whoever they are for.
func (m *machine) open() {
	m.t.Helper()
	if err := os.Chmod(m.dir, 0o777); err != nil {
		m.t.Fatal(err)
	}
	m.put(m.path("log"), "")
	if err := os.Chmod(m.path("log"), 0o666); err != nil {
		m.t.Fatal(err)
	}
}

// status asks the emperor for everything that it knows of a vassal.
func (m *machine) status(name string) control.VassalStatus {
	m.t.Helper()
	text, _ := m.order("why", name, "--json")
	var s control.VassalStatus
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		m.t.Fatalf("why %s --json: %v\n%s", name, err, text)
	}
	return s
}

// TestHooksAsInUWSGI: the main file's hooks run in the order, with the arguments and at
// the moments of a real one; a deploy is neither start nor stop.
func TestHooksAsInUWSGI(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.open()
	m.put(m.path("note"), "#!/bin/sh\nn=${0##*/}; echo $n,$1,$UWSGI_VASSAL_CONFIG,$UWSGI_VASSALS_DIR >> "+m.path("log")+"\n")
	if err := os.Chmod(m.path("note"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"start", "stop"} {
		if err := os.Symlink("note", m.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	m.write("uwsgi.ini", `[uwsgi]
emperor = DIR/vassals.d
http = :PORT
`+byName+`
exec-as-root = DIR/note as-root
exec-asap = DIR/note asap
hook-asap = mkdir:DIR/made
hook-asap = write:DIR/made/text a few words
hook-emperor-start = exec:DIR/note emperor-start
vassals-start-hook = DIR/start
vassals-stop-hook = DIR/stop
hook-as-emperor-before-vassal = exec:DIR/note before-vassal
hook-as-vassal-before-drop = exec:DIR/note before-drop
exec-as-vassal = DIR/note as-vassal
hook-as-vassal = exec:DIR/note hook-as-vassal
exec-as-emperor = DIR/note as-emperor
exec-as-user-atexit = DIR/note atexit
master = true
hook-post-fork = print:nothing
`)
	m.vassal("site", "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\nexec-post-stop = DIR/note post-stop\n")
	m.start()
	m.waitReady()
	dir := m.path("vassals.d")
	before := []string{"note,before-vassal,," + dir, "note,before-drop,," + dir}
	each := []string{"note,hook-as-vassal,," + dir, "note,as-vassal,," + dir, "note,as-emperor,site.ini," + dir}
	want := slices.Concat([]string{"note,asap,,", "note,as-root,,", "note,emperor-start,,"}, before, []string{"start,site.ini,," + dir}, each)
	m.eventually("the hooks of a start ran", func() bool { return len(m.noted("log")) >= len(want) })
	if text := m.noted("made/text"); !slices.Equal(text, []string{"a", "few", "words"}) {
		t.Errorf("hook-asap = write wrote %q", text)
	}
	mark := m.mark()
	m.touch("vassals.d/site.ini")
	m.waitLog(mark, "vassal ready", "gen=2")
	want = slices.Concat(want, before, each)
	m.eventually("the hooks of a deploy ran", func() bool { return len(m.noted("log")) >= len(want) })
	m.remove("vassals.d/site.ini")
	m.waitLog(mark, "site: gone")
	m.stop()
	want = append(want, "note,post-stop,,", "stop,site.ini,,"+dir, "note,atexit,,")
	if got := m.noted("log"); !slices.Equal(got, want) {
		t.Errorf("hooks:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if !m.logged("hook-post-fork", "accepted without effect", "has no workers") {
		t.Error("it does not say that hook-post-fork has no effect")
	}
}

// TestHookThatFailsAtTheStart: the emperor does not start, and says why.
func TestHookThatFailsAtTheStart(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("uwsgi.ini", "[uwsgi]\nhttp = :PORT\nhttp-to = DIR/x.sock\nexec-asap = sh -c 'echo no disk; exit 4'\n")
	m.start()
	m.waitLog(0, "no disk")
	m.waitLog(0, "uwsgi.ini:4", "exit status 4")
	if code := m.waitExit(); code == 0 {
		t.Error("the emperor ended well")
	}
	m.command = nil
}

// TestHangingHooksHinderNobody: while hooks of some vassals hang others start and are
// deployed; a hook ends with its vassal, and with the emperor.
func TestHangingHooksHinderNobody(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("hung", "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn webapp:application\nexec-pre-start = sleep 4711\n")
	m.vassal("hung2", "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\nexec-pre-start = sleep 4712\n")
	m.vassal("good", "socket = DIR/%n.sock\nchdir = DIR\ncommand = gunicorn webapp:application\n")
	m.start()
	m.untilRelease("good.test", "0")
	m.eventually("both hooks run", func() bool { return m.pidOf("sleep 4711") > 0 && m.pidOf("sleep 4712") > 0 })
	m.write("RELEASE", "1")
	m.touch("vassals.d/good.ini")
	m.untilRelease("good.test", "1")
	mark := m.mark()
	m.remove("vassals.d/hung.ini")
	m.waitLog(mark, "hung: gone")
	if pid := m.pidOf("sleep 4711"); pid > 0 {
		t.Errorf("the hook of a vassal that is gone runs as %d", pid)
	}
	m.stop() // and finish looks for the other one
}

// TestPreStartKeepsTheOldGeneration: a deploy whose exec-pre-start fails changes nothing
// and says why, for a uWSGI and for a program that cannot overlap; it runs as the
// vassal's user.
func TestPreStartKeepsTheOldGeneration(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.open()
	port := testport.Free(t)
	sites := map[string]string{
		"uwsgi": "socket = DIR/%n.sock\nplugin = python3\nchdir = DIR\nwsgi-file = DIR/webapp.py\n",
		"tcp":   "socket = 127.0.0.1:" + port + "\nchdir = DIR\ncommand = gunicorn webapp:application\n",
	}
	if os.Geteuid() == 0 {
		for name := range sites {
			sites[name] += "uid = nobody\n"
		}
	}
	for name, text := range sites {
		m.vassal(name, text+"exec-pre-start = sh -c 'echo I am $(id -u) in $PWD'\n")
	}
	m.start()
	m.waitReady()
	for name, text := range sites {
		m.untilRelease(name+".test", "0")
		m.waitLog(0, "I am "+map[bool]string{true: "65534", false: ""}[os.Geteuid() == 0], "in "+m.dir, name+" |")
		before := m.answering(name + ".test")
		m.vassal(name, text+"exec-pre-start = sh -c 'echo the table is locked; exit 5'\n")
		m.eventually("the problem is told", func() bool {
			why, _ := m.order("why", name)
			return strings.Contains(why, "exec-pre-start ("+name+".ini:") && strings.Contains(why, "exit status 5") && strings.Contains(why, "the table is locked")
		})
		if pid := m.answering(name + ".test"); pid != before {
			t.Errorf("%s: process %d answers, want %d as before", name, pid, before)
		}
		mark := m.mark()
		m.vassal(name, text)
		m.waitLog(mark, name+": vassal ready")
		m.untilRelease(name+".test", "0")
	}
}

// TestDaemonsAndCron: what `why`, its JSON and check show of them; they end with a
// killed emperor.
func TestDaemonsAndCron(t *testing.T) {
	t.Parallel()
	m := sitesMachine(t)
	m.vassal("site", `socket = DIR/%n.sock
chdir = DIR
command = gunicorn webapp:application
attach-daemon = sleep 5811
smart-attach-daemon2 = DIR/kept.pid sleep 5812
cron = 30 4 -1 -1 1 echo backup
`)
	m.start()
	m.waitReady()
	var first control.VassalStatus
	m.eventually("daemons run", func() bool {
		first = m.status("site")
		return len(first.Daemons) == 2 && first.Daemons[0].PID > 0 && first.Daemons[1].PID > 0
	})
	if len(first.Crons) != 1 || first.Crons[0].Next.Weekday().String() != "Monday" || first.Crons[0].Schedule != "30 4 -1 -1 1" {
		t.Errorf("cron jobs: %+v", first.Crons)
	}
	why, _ := m.order("why", "site")
	for _, want := range []string{"attach-daemon (site.ini:5): pid ", "smart-attach-daemon2 (site.ini:6): pid ", "cron (site.ini:7): next "} {
		if !strings.Contains(why, want) {
			t.Errorf("why has no %q:\n%s", want, why)
		}
	}
	checked, _ := m.ask("check", "uwsgi.ini")
	for _, want := range []string{"what runs beside them", "daemon attach-daemon (site.ini:5): sleep 5811", "cron (site.ini:7): echo backup, next "} {
		if !strings.Contains(checked, want) {
			t.Errorf("check has no %q:\n%s", want, checked)
		}
	}
	mark := m.mark()
	m.touch("vassals.d/site.ini")
	m.waitLog(mark, "vassal ready", "gen=2")
	m.eventually("one daemon is another, one stays", func() bool {
		now := m.status("site").Daemons
		return len(now) == 2 && now[0].PID > 0 && now[0].PID != first.Daemons[0].PID && now[1].PID == first.Daemons[1].PID
	})
	m.signal(syscall.SIGKILL)
	m.waitExit()
	m.command = nil
	m.eventually("nothing is left", func() bool { return len(m.processes()) == 0 })
}

// TestCheckOfHooks: mistakes are found where they are.
func TestCheckOfHooks(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("uwsgi.ini", `[uwsgi]
emperor = DIR/vassals.d
vassals-start-hook = /bin/echo started
exec-as-emperor = renices -n 5 $UWSGI_VASSAL_PID
hook-as-vassal = exec:nosuchprogram
`)
	m.vassal("a", "command = true\nexec-pre-start = nosuchmigration now\nattach-daemon = nosuchdaemon\ncron = 61 -1 -1 -1 -1 date\n")
	m.vassal("b", "command = true\nexec-pre-start = nosuchmigration now\nattach-daemon = nosuchdaemon\n")
	text, code := m.ask("check", "uwsgi.ini")
	if code != 1 {
		t.Errorf("check exited with %d", code)
	}
	for _, want := range []string{
		"uwsgi.ini:3: vassals-start-hook: /bin/echo started: ", "with arguments, say exec-as-vassal",
		"uwsgi.ini:4: exec-as-emperor: renices", "uwsgi.ini:5: hook-as-vassal: nosuchprogram",
		filepath.Join("vassals.d", "a.ini") + ":5: cron: minute: want 0 to 59",
		filepath.Join("vassals.d", "b.ini") + ":3: exec-pre-start: nosuchmigration", filepath.Join("vassals.d", "b.ini") + ":4: warning: attach-daemon: nosuchdaemon",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("check has no %q:\n%s", want, text)
		}
	}
	m.write("uwsgi.ini", "[uwsgi]\nemperor = DIR/vassals.d\nhook-as-vassal = mount:proc none /proc\n")
	if text, _ := m.ask("check", "uwsgi.ini"); !strings.Contains(text, "uwsgi.ini:3: hook-as-vassal: mount is not supported here") {
		t.Errorf("check of an action that cannot be had:\n%s", text)
	}
}
