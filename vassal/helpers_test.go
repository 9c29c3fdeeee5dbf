package vassal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"emperor/internal/config"
	"emperor/vassal/spec"
)

// words are the words in a file of the site, none when it is not there.
func (s *site) words(name string) []string {
	text, _ := os.ReadFile(filepath.Join(s.dir, name))
	return strings.Fields(string(text))
}

// note is a command line that adds a word to a file of the site.
func note(file, word string) string { return "echo " + word + " >> DIR/" + file }

func alivePID(text string) bool {
	pid, err := strconv.Atoi(text)
	stat, missing := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && missing == nil && !strings.Contains(string(stat), ") Z ") // dead, but nobody has asked
}

// TestPreStart: it runs before each generation; one that fails leaves the old one at
// work and says why, also where the old one would have had to end first.
func TestPreStart(t *testing.T) {
	for _, overlap := range []string{"true", "false"} {
		t.Run("overlap "+overlap, func(t *testing.T) {
			t.Parallel()
			text := commandSite(t, "serve", "fd=3") + "overlap = " + overlap + "\nexec-pre-start = " + note("log", "before")
			s := newSite(t, text+"\n", nil)
			s.ready(1)
			s.write(text + "\nexec-pre-start = sh -c 'echo cannot migrate; exit 3'\n")
			s.want()
			st := s.until("refused", func(st Status) bool { return st.Problem != "" })
			if st.Generation != 1 || st.State != Ready || !strings.Contains(st.Problem, "exec-pre-start (site.ini:7): exit status 3") {
				t.Errorf("%s with generation %d: %s", st.State, st.Generation, st.Problem)
			}
			if st.Failure == nil || len(st.Failure.Lines) == 0 || st.Failure.Lines[0].Text != "cannot migrate" {
				t.Errorf("the failure's lines: %+v", st.Failure)
			}
			s.mustGet("/")
			s.write(text + "\n")
			s.want()
			s.until("replaced", func(st Status) bool { return st.State == Ready && st.Generation > 1 })
			if got := s.words("log"); len(got) != 3 {
				t.Errorf("it ran %d times, want 3", len(got))
			}
			if err := s.Order(t.Context(), OrderRestart); err != nil {
				t.Error(err)
			}
			if got := s.words("log"); len(got) != 4 {
				t.Errorf("it ran %d times, want 4", len(got))
			}
		})
	}
}

// TestHookThatHangs: it is killed with all that it has started, and is the reason.
func TestHookThatHangs(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3")+"hook-timeout = 1\nexec-pre-start = sh -c 'sleep 1000 & echo $! > DIR/child; sleep 1000'\n", nil)
	st := s.until("failed", func(st Status) bool { return st.State == Failed })
	if want := "exec-pre-start (site.ini:6): it was ended, because it was not over after 1s (hook-timeout)"; st.Reason != want {
		t.Errorf("reason %q, want %q", st.Reason, want)
	}
	if child := s.words("child"); len(child) > 0 && alivePID(child[0]) {
		t.Errorf("its child %v is left", child)
	}
}

// TestDaemons: what runs when, over a deploy, a crash and a stop; never two of one.
func TestDaemons(t *testing.T) {
	t.Parallel()
	daemon := func(name string) string {
		return play(t, "file=DIR/"+name, "wait")
	}
	text := commandSite(t, "serve", "fd=3") +
		"attach-daemon = " + daemon("plain") + "\n" +
		"smart-attach-daemon2 = DIR/kept.pid " + daemon("kept") + "\n" +
		"smart-attach-daemon = DIR/away,5 " + play(t, "daemon=file=DIR/away,wait") + "\n"
	s := newSite(t, text, nil)
	s.eventuallyShown()
	s.ready(1)
	running := func() (pids []int) {
		st := s.until("its daemons run", func(st Status) bool {
			return len(st.Daemons) == 3 && !slices.ContainsFunc(st.Daemons, func(d DaemonStatus) bool { return d.PID == 0 })
		})
		for _, d := range st.Daemons {
			pids = append(pids, d.PID)
		}
		return pids
	}
	awayIsKnown := func(st Status) bool {
		away := s.words("away")
		return len(st.Daemons) == 3 && len(away) == 1 && strconv.Itoa(st.Daemons[2].PID) == away[0]
	}
	s.until("the one in the background is known", awayIsKnown)
	first := running()
	if got := s.words("kept.pid"); len(got) != 1 || got[0] != strconv.Itoa(first[1]) {
		t.Errorf("pid file %v, want %d", got, first[1])
	}

	s.want() // a deploy
	s.ready(2)
	s.until("the plain one is another", func(st Status) bool {
		return len(st.Daemons) == 3 && st.Daemons[0].PID != 0 && st.Daemons[0].PID != first[0]
	})
	second := running()
	if second[1] != first[1] || second[2] != first[2] {
		t.Errorf("daemons %v became %v: want the last two as they were", first, second)
	}
	if alivePID(strconv.Itoa(first[0])) {
		t.Error("two of the plain one run")
	}

	for i, pid := range second {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.until("it runs again", func(st Status) bool {
			return len(st.Daemons) == 3 && st.Daemons[i].PID != 0 && st.Daemons[i].PID != pid && st.Daemons[i].Restarts == 1
		})
	}
	s.until("the one in the background is known again", awayIsKnown)
	third := running()

	// A line that is new, and one that is gone.
	s.write(strings.Replace(text, "attach-daemon = "+daemon("plain"), "attach-daemon2 = cmd="+daemon("other")+",stopsignal=INT", 1))
	s.want()
	s.ready(3)
	s.until("the new one runs", func(st Status) bool {
		return len(st.Daemons) == 3 && st.Daemons[0].PID != 0 && len(s.words("other")) == 1
	})
	fourth := running()
	if alivePID(strconv.Itoa(third[0])) || fourth[1] != third[1] || fourth[2] != third[2] {
		t.Errorf("daemons %v became %v", third, fourth)
	}

	if err := s.Order(t.Context(), OrderStop); err != nil {
		t.Fatal(err)
	}
	for _, pid := range fourth {
		if alivePID(strconv.Itoa(pid)) {
			t.Errorf("daemon %d outlives its vassal", pid)
		}
	}
	if st := s.Status(); len(st.Daemons) != 0 {
		t.Errorf("daemons of a stopped vassal: %+v", st.Daemons)
	}
	if len(s.words("kept.pid")) != 0 {
		t.Error("the pid file is left")
	}
}

// TestPIDFileOfSomebodyElse: a daemon that runs already is not started again, and is
// not ours to end.
func TestPIDFileOfSomebodyElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", nil)
	if err := os.WriteFile(filepath.Join(s.dir, "pid"), []byte(fmt.Sprintln(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	s.write(commandSite(t, "serve", "fd=3") + "attach-daemon2 = cmd=" + play(t, "wait") + ",pidfile=DIR/pid,daemonize=1\n")
	s.want()
	s.ready(1)
	// It is this very process, which no daemon can be: one of ours is started.
	s.until("it runs", func(st Status) bool { return len(st.Daemons) == 1 && st.Daemons[0].PID > 0 })
	other := s.Status().Daemons[0].PID

	second := newSite(t, "", nil)
	second.write(commandSite(t, "serve", "fd=3") + "smart-attach-daemon2 = " + s.dir + "/pid " + play(t, "wait") + "\n")
	second.want()
	second.ready(1)
	second.until("it is found", func(st Status) bool { return len(st.Daemons) == 1 && st.Daemons[0].PID == other })
	if err := second.Order(t.Context(), OrderStop); err != nil {
		t.Fatal(err)
	}
	if !alivePID(strconv.Itoa(other)) {
		t.Error("the daemon of another vassal was ended")
	}
}

// TestTouchedDaemon: a changed file restarts it, or with a reload signal tells it.
func TestTouchedDaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", nil)
	s.eventuallyShown()
	os.WriteFile(filepath.Join(s.dir, "reload"), nil, 0o644)
	script := "#!/bin/sh\ntrap 'echo told >> DIR/told' USR1\necho $$ > DIR/started\nwhile :; do sleep 0.05; done\n"
	os.WriteFile(filepath.Join(s.dir, "d"), []byte(strings.ReplaceAll(script, "DIR", s.dir)), 0o755)
	s.write(commandSite(t, "serve", "fd=3") +
		"attach-daemon2 = cmd=" + play(t, "wait") + ",touch=reload,freq=1\n" +
		"attach-daemon2 = cmd=DIR/d,touch=reload,freq=1,reloadsignal=USR1\n")
	s.want()
	s.ready(1)
	first := s.until("both run", func(st Status) bool {
		return len(st.Daemons) == 2 && st.Daemons[0].PID > 0 && st.Daemons[1].PID > 0 && len(s.words("started")) == 1
	}).Daemons
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, "reload"), later, later); err != nil {
		t.Fatal(err)
	}
	second := s.until("one was restarted, one was told", func(st Status) bool {
		return len(st.Daemons) == 2 && st.Daemons[0].PID > 0 && st.Daemons[0].PID != first[0].PID && len(s.words("told")) > 0
	}).Daemons
	if second[1].PID != first[1].PID {
		t.Error("the one with a reload signal was restarted")
	}
	s.want()
	s.ready(2)
	s.until("a deploy told it, too", func(st Status) bool { return len(s.words("told")) > 1 })
	if now := s.Status().Daemons[1].PID; now != first[1].PID {
		t.Error("a deploy restarted the one with a reload signal")
	}
}

// TestControlDaemon: its end is the vassal's.
func TestControlDaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3")+"attach-control-daemon = "+play(t, "wait")+"\n", nil)
	s.ready(1)
	pid := s.until("it runs", func(st Status) bool { return len(st.Daemons) == 1 && st.Daemons[0].PID > 0 }).Daemons[0].PID
	syscall.Kill(pid, syscall.SIGKILL)
	s.ready(2)
}

// TestLifeHooks: the main file's hooks and exec-post-stop, in their order; a deploy sees
// only those of each process.
func TestLifeHooks(t *testing.T) {
	t.Parallel()
	main := &MainHooks{Timeout: deadline}
	s := newSite(t, "", func(d *Deps) { d.Hooks = func() *MainHooks { return main } })
	s.eventuallyShown()
	script := "#!/bin/sh\necho ${0##*/}:${1##*/}:$UWSGI_VASSALS_DIR:$UWSGI_VASSAL_CONFIG >> " + s.dir + "/log\n"
	for _, name := range []string{"start", "stop", "emperor", "vassal"} {
		os.WriteFile(filepath.Join(s.dir, name), []byte(script), 0o755)
	}
	action := func(key, value string) Action {
		a, err := ReadAction(config.Value{Key: key, Value: value, Pos: config.Pos{File: "main.ini", Line: 3}})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	main.Start, main.Stop = spec.Program{Option: "vassals-start-hook", Line: s.dir + "/start"}, spec.Program{Option: "vassals-stop-hook", Line: s.dir + "/stop"}
	main.AsVassal = []Action{action("hook-as-vassal", "exec:"+s.dir+"/vassal hook"), action("exec-as-vassal", s.dir+"/vassal exec")}
	main.AsEmperor = []Action{action("exec-as-emperor", s.dir+"/emperor $(kill -0 $UWSGI_VASSAL_PID && echo living)")}
	s.write(commandSite(t, "serve", "fd=3") + "exec-post-stop = " + note("log", "post-stop") + "\nexec-post-stop = sh -c 'exit 7'\n")
	s.want()
	s.ready(1)
	told := s.file
	want := []string{"start:site.ini" + ":" + s.dir + ":", "vassal:hook:" + s.dir + ":", "vassal:exec:" + s.dir + ":", "emperor:living:" + s.dir + ":" + told}
	logged := func(what string) {
		t.Helper()
		s.until(what, func(Status) bool { return len(s.words("log")) >= len(want) })
		if got := s.words("log"); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", what, got, want)
		}
	}
	logged("started")
	s.want()
	s.ready(2)
	want = append(want, "vassal:hook:"+s.dir+":", "vassal:exec:"+s.dir+":", "emperor:living:"+s.dir+":"+told)
	logged("deployed")
	if err := s.Order(t.Context(), OrderStop); err != nil {
		t.Fatal(err)
	}
	want = append(want, "post-stop", "stop:site.ini:"+s.dir+":")
	logged("stopped")
	if st := s.Status(); !strings.Contains(st.Reason, "exec-post-stop (site.ini:6): exit status 7") {
		t.Errorf("reason %q", st.Reason)
	}
	main.AsVassal = []Action{action("exec-as-vassal", "false")}
	if err := s.Order(t.Context(), OrderStart); err == nil || !strings.Contains(err.Error(), "exec-as-vassal (main.ini:3): exit status 1") {
		t.Errorf("a start whose exec-as-vassal fails: %v", err)
	}
}

// TestHooksThatChangeNothing: the main file's hooks whose failure keeps nothing from
// running are shown while it runs, and no longer when they work at the next start.
func TestHooksThatChangeNothing(t *testing.T) {
	t.Parallel()
	var main atomic.Pointer[MainHooks]
	main.Store(&MainHooks{Timeout: deadline})
	s := newSite(t, "", func(d *Deps) { d.Hooks = main.Load })
	s.eventuallyShown()
	text := commandSite(t, "serve", "fd=3")
	action := func(key, value string) []Action {
		a, err := ReadAction(config.Value{Key: key, Value: value, Pos: config.Pos{File: "main.ini", Line: 3}})
		if err != nil {
			t.Fatal(err)
		}
		return []Action{a}
	}
	generation := uint64(0)
	for _, test := range []struct {
		hooks MainHooks
		want  string
	}{
		{MainHooks{Start: spec.Program{Option: "vassals-start-hook", Line: "/bin/false", Pos: config.Pos{File: "main.ini", Line: 2}}}, "vassals-start-hook (main.ini:2): exit status 1"},
		{MainHooks{BeforeVassal: action("hook-as-emperor-before-vassal", "exec:sh -c 'exit 6'")}, "hook-as-emperor-before-vassal (main.ini:3): exit status 6"},
		{MainHooks{AsEmperor: action("exec-as-emperor", "sh -c 'exit 7'")}, "exec-as-emperor (main.ini:3): exit status 7"},
		{MainHooks{}, ""},
	} {
		test.hooks.Timeout = deadline
		main.Store(&test.hooks)
		s.write(text)
		s.want()
		generation++
		st := s.ready(generation)
		if test.want != "" {
			st = s.until("the failure is shown", func(st Status) bool { return st.Hook != nil && st.Hook.How == test.want })
		}
		if st.State != Ready || st.Problem != "" || test.want == "" && st.Hook != nil {
			t.Errorf("%q: %+v, hook %+v", test.want, st, st.Hook)
		}
	}
}

// TestAsleepHook: it is told each time that a vassal begins to wait for somebody.
func TestAsleepHook(t *testing.T) {
	t.Parallel()
	main := &MainHooks{Timeout: deadline}
	s := newSite(t, "", func(d *Deps) { d.Hooks = func() *MainHooks { return main } })
	s.eventuallyShown()
	a, err := ReadAction(config.Value{Key: "hook-as-on-demand-vassal", Value: "exec:echo asleep:${UWSGI_HOOK_CONTEXT##*/} >> " + s.dir + "/log"})
	if err != nil {
		t.Fatal(err)
	}
	main.Asleep = []Action{a}
	s.write(commandSite(t, "serve", "fd=3") + "on-demand = true\nidle = 1\n")
	s.want()
	s.until("asleep", func(st Status) bool { return st.State == Asleep && len(s.words("log")) == 1 })
	s.Wake("a test")
	s.until("asleep again", func(st Status) bool { return st.State == Asleep && len(s.words("log")) == 2 })
	if got := s.words("log"); !slices.Equal(got, []string{"asleep:site.ini", "asleep:site.ini"}) {
		t.Errorf("told %q", got)
	}
}

// eventuallyShown lets until look at files, which nobody tells it about.
func (s *site) eventuallyShown() {
	s.t.Helper()
	stop := make(chan struct{})
	s.t.Cleanup(func() { close(stop) })
	go func() { // ends with the test
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			select {
			case s.changed <- struct{}{}:
			default:
			}
		}
	}()
}

// TestHelpersMistakes: each is told with its line.
func TestHelpersMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"exec-pre-start = 'unclosed":                    "site.ini:3: exec-pre-start: a quote ' is not closed",
		"attach-daemon =":                               "site.ini:3: attach-daemon: want a program and its arguments",
		"smart-attach-daemon = /run/x.pid":              "want PIDFILE[,SECONDS] COMMAND",
		"smart-attach-daemon = /run/x.pid,soon x":       "the time between two looks at the pid file: want a number of seconds, got \"soon\"",
		"attach-daemon2 = freq=3":                       "want cmd=COMMAND among the keys",
		"attach-daemon2 = cmd=x,frequency=3":            "there is no key \"frequency\"",
		"attach-daemon2 = cmd=x,stopsignal=KILLIT":      "stopsignal: want the name or number of a signal",
		"attach-daemon2 = cmd=x,ns_pid=1":               "ns_pid is not supported",
		"attach-daemon2 = cmd=x,uid=nosuchuser":         "there is no user \"nosuchuser\"",
		"attach-daemon2 = cmd=\"x":                      "a quote \" is not closed",
		"cron = 0 25 -1 -1 -1 x":                        "site.ini:3: cron: hour: want 0 to 23",
		"cron = 0 2 -1 -1 -1":                           "want a program and its arguments",
		"cron = */5 * * * * x":                          "here it is -5",
		"unique-cron = 0 0 31 2 -1 x":                   "never comes",
		"cron2 = minute=5,second=3 x":                   "there is no field \"second\"",
		"cron2 = minute=5,legion=a x":                   "legion is not supported",
		"cron2 = minute=5,harakiri=long x":              "harakiri: want a number of seconds",
		"cron2 = minute=5,unique=1,harakiri=0 x":        "",
		"cron2 = x y":                                   "",
		"attach-daemon2 = cmd=\"a b,c\",touch=/a;/b":    "",
		"hook-timeout = 0":                              "hook-timeout",
		"exec-post-stop = @(exec://date)":               "never evaluated",
		"attach-daemon2 = cmd=x,uid=nobody,gid=nogroup": "",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "site.ini")
		os.WriteFile(file, []byte("[uwsgi]\ncommand = true\n"+line+"\n"), 0o644)
		_, problems := readSpec(spec.Reading{Name: "site", File: file})
		got := errorsOf(problems)
		if want == "" && got != "" || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", line, got, want)
		}
	}
}
