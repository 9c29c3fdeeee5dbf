package vassal

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/vassal/logs"
	"emperor/vassal/spec"
)

// takenSocket lets another vassal have the socket at DIR/s, and returns what lets
// go of it.
func (s *site) takenSocket(name string) (free func(how string)) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	socket := spec.Socket{Address: path, Held: true, At: spec.Address{Text: path, Path: path}}
	l, err := s.sockets.Hold("other", socket, spec.SocketRules{Umask: -1, UID: -1, GID: -1, Backlog: 5})
	if err != nil {
		s.t.Fatal(err)
	}
	l.Release()
	s.t.Cleanup(func() { s.sockets.Keep("other", nil) })
	return func(how string) {
		if how == "leaves" {
			s.sockets.Leave("other", true) // and the other takes it over
		} else {
			s.sockets.Keep("other", nil)
		}
	}
}

// TestSocketThatGetsFree: nobody waits for a back-off, or edits a file again, when
// the socket that another vassal had can be had.
func TestSocketThatGetsFree(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"lets go", "leaves"} {
		for _, before := range []string{"never ran", "runs on another", "runs alone on another"} {
			t.Run(before+", the other "+how, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, "", func(d *Deps) { d.Defaults.Throttle, d.Defaults.MaxThrottle = time.Hour, time.Hour })
				free := s.takenSocket("s")
				text := commandSite(t, "serve", "fd=3")
				generation := uint64(2)
				if before != "never ran" {
					first := strings.Replace(text, "DIR/s", "DIR/t", 1)
					if before == "runs alone on another" {
						first += "overlap = false\n"
						generation = 1
					}
					s.write(first)
					s.want()
					s.ready(1)
					generation++
				}
				s.write(text)
				s.want()
				const says = "belongs to vassal other"
				st := s.until("refused", func(st Status) bool {
					return strings.Contains(st.Problem, says) || st.State == Failed && strings.Contains(st.Reason, says)
				})
				if (before == "never ran") != (st.State == Failed) {
					t.Errorf("status %+v", st)
				}
				free(how)
				st = s.ready(generation)
				if st.Problem != "" || st.Restarts != 0 || st.Failure != nil {
					t.Errorf("status %+v", st)
				}
				s.mustGet("/")
			})
		}
	}
}

// TestNoLongerAwaited: a socket that gets free starts nothing when it is not
// wanted any more, or the file has mistakes by now.
func TestNoLongerAwaited(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", func(d *Deps) { d.Defaults.Throttle, d.Defaults.MaxThrottle = time.Hour, time.Hour })
	free := s.takenSocket("s")
	s.write(commandSite(t, "serve", "fd=3"))
	s.want()
	s.until("failed", func(st Status) bool { return st.State == Failed })
	s.write("[uwsgi]\nsocket = DIR/s\ncommand = 'x\n")
	_, problems := readSpec(spec.Reading{Name: "site", File: s.file})
	s.Refuse(problems)
	s.until("refused", func(st Status) bool { return st.Problem != "" })
	free("lets go")
	s.write(strings.Replace(commandSite(t, "serve", "fd=3"), "DIR/s", "DIR/t", 1))
	s.want()
	s.ready(2) // and not 3
	if log := s.log.String(); strings.Contains(log, "what runs stays") || !strings.Contains(log, "the file has mistakes; it does not run") {
		t.Error("the log speaks of something that runs, or does not say what became of it")
	}
}

func texts(lines []logs.Line) string {
	var all []string
	for _, l := range lines {
		all = append(all, fmt.Sprint(l.Generation, " ", l.Text))
	}
	return strings.Join(all, "|")
}

// TestLastWords: what a generation wrote that failed is kept, however much others
// write, until a change has been carried out; what a crash left is kept longer.
func TestLastWords(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3"), func(d *Deps) { d.Defaults.Throttle = time.Millisecond })
	s.ready(1)
	for i := range 3 * 20 {
		s.output.Add(1, fmt.Appendln(nil, "talk", i))
	}
	s.write("[uwsgi]\nsocket = DIR/s\ncommand = echo last words; echo of generation $EMPEROR_MARK | sed 's/[^ ]*$/two/'; for i in `seq 99`; do echo talk; done; exit 9\n")
	s.want()
	st := s.until("told", func(st Status) bool { return st.State == Ready && st.Failure != nil })
	if f := st.Failure; f.Generation != 2 || f.How != "ended before it was ready: exit status 9" || len(f.Lines) != 20 || strings.Contains(texts(f.Lines), "1 talk") {
		t.Errorf("failure %+v", f)
	}
	s.write("[uwsgi]\nsocket = DIR/s\ncommand = echo last words; exit 9\n")
	s.want()
	st = s.until("told", func(st Status) bool { return st.State == Ready && st.Failure != nil && st.Failure.Generation == 3 })
	for i := range 3 * 20 {
		s.output.Add(1, fmt.Appendln(nil, "talk", i))
	}
	if got := texts(s.Status().Failure.Lines); got != "3 last words" {
		t.Errorf("its last words are %q", got)
	}
	s.write(commandSite(t, "serve", "fd=3"))
	s.want()
	if st = s.ready(4); st.Failure != nil {
		t.Errorf("after the mending: %+v", st.Failure)
	}
	syscall.Kill(st.PIDs[0], syscall.SIGSEGV)
	st = s.ready(5)
	if f := st.Failure; f == nil || f.Generation != 4 || !strings.Contains(f.How, "SIGSEGV") && !strings.Contains(f.How, "exit status 2") {
		t.Errorf("after a crash: %+v", f)
	}
	if strings.Contains(s.log.String(), `why=""`) {
		t.Error("it is started without a reason")
	}
}

// TestStartIsSeen: the processes of a generation on its way up are shown, and how
// long after the edit it was started is in the log, once.
func TestStartIsSeen(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", nil)
	s.write("[uwsgi]\nsocket = DIR/s\ncommand = sleep 1000\n")
	s.Want(s.read(), time.Now().Add(-time.Second))
	st := s.until("starting", func(st Status) bool { return len(st.StartingPIDs) == 1 })
	if st.State != Starting || st.Starting != 1 || len(st.PIDs) != 0 || syscall.Kill(st.StartingPIDs[0], 0) != nil {
		t.Errorf("status %+v", st)
	}
	s.write(commandSite(t, "serve", "fd=3"))
	s.want()
	if st := s.ready(2); len(st.StartingPIDs) != 0 || len(st.PIDs) != 1 {
		t.Errorf("status %+v", st)
	}
	if got := strings.Count(s.log.String(), "since_edit=1."); got != 1 || strings.Count(s.log.String(), "since_edit=") != 1 {
		t.Errorf("since_edit is in the log %d times, want once", got)
	}
}
