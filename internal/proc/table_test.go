package proc

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const numbers = " 10 20 30 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 777 0 0"
	for _, test := range []struct {
		name, line string
		want       entry
		bad        bool
	}{
		{name: "plain", line: "42 (sh) S" + numbers, want: entry{pid: 42, name: "sh", parent: 10, session: 30, start: 777}},
		{name: "a name made to confuse", line: "42 (x) S 1 1 1 () S" + numbers, want: entry{pid: 42, name: "x) S 1 1 1 (", parent: 10, session: 30, start: 777}},
		{name: "a name with a line end", line: "42 (a\nb) R" + numbers + "\n", want: entry{pid: 42, name: "a\nb", parent: 10, session: 30, start: 777}},
		{name: "zombie", line: "42 (sh) Z" + numbers, want: entry{pid: 42, name: "sh", parent: 10, session: 30, start: 777, dead: true}},
		{name: "zombie whose threads live", line: "42 (sh) Z" + strings.Replace(numbers, " 20 0 1 0 ", " 20 0 3 0 ", 1), want: entry{pid: 42, name: "sh", parent: 10, session: 30, start: 777}},
		{name: "kernel thread", line: "2 (kthreadd) S" + strings.Replace(numbers, "4194304", "2129984", 1), want: entry{pid: 2, name: "kthreadd", parent: 10, session: 30, start: 777, kernel: true}},
		{name: "empty", line: "", bad: true},
		{name: "no name", line: "42 S 1", bad: true},
		{name: "cut", line: "42 (sh) S 10 20", bad: true},
		{name: "no number", line: "x (sh) S" + numbers, bad: true},
		{name: "start is no number", line: "42 (sh) S" + strings.Replace(numbers, "777", "-7", 1), bad: true},
	} {
		got, err := parseStat([]byte(test.line))
		if (err != nil) != test.bad {
			t.Errorf("%s: error %v", test.name, err)
		} else if !test.bad && got != test.want {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, test.want)
		}
	}
}

func TestOwnEntry(t *testing.T) {
	e, err := readEntry(os.Getpid(), nil)
	session, _ := unix.Getsid(0)
	if err != nil || e.pid != os.Getpid() || e.parent != os.Getppid() || e.session != session || e.start == 0 || e.dead || e.kernel {
		t.Errorf("%+v, %v", e, err)
	}
	all, err := readTable(true)
	if err != nil || all[os.Getpid()].start != e.start {
		t.Errorf("%+v, %v", all[os.Getpid()], err)
	}
	if _, err := readEntry(1<<30, nil); err == nil {
		t.Error("an entry for a process that cannot exist")
	}
}

func TestParseMark(t *testing.T) {
	for environ, want := range map[string]string{
		"":                                     "",
		"A=1\x00EMPEROR_MARK=m/n/1\x00B=2\x00": "m/n/1",
		"EMPEROR_MARK=m/n/1":                   "m/n/1",
		"XEMPEROR_MARK=m/n/1\x00":              "",
		"A=EMPEROR_MARK=m/n/1\x00":             "",
		"EMPEROR_MARK=a\x00EMPEROR_MARK=b\x00": "a",
	} {
		if got := parseMark([]byte(environ)); got != want {
			t.Errorf("%q: %q, want %q", environ, got, want)
		}
	}
}

func TestMarks(t *testing.T) {
	c := Command{Name: "dir/site", Generation: 18446744073709551615}
	mark, name, generation, ok := splitMark(c.mark("m"))
	if !ok || mark != "m" || name != c.Name || generation != c.Generation {
		t.Errorf("%q %q %d %t", mark, name, generation, ok)
	}
	for _, bad := range []string{"", "m", "m/n", "m/n/x", "m/n/-1"} {
		if _, _, _, ok := splitMark(bad); ok {
			t.Errorf("%q was taken for a mark", bad)
		}
	}
	identity, pid, start, ok := emperorOf(NewMark("id"))
	if e, _ := readEntry(os.Getpid(), nil); !ok || identity != "id" || pid != os.Getpid() || start != e.start {
		t.Errorf("%q %d %d %t", identity, pid, start, ok)
	}
	for _, bad := range []string{"", "id", "id.1", "id.x.1", "id.1.x", "id.1.1.1"} {
		if _, _, _, ok := emperorOf(bad); ok {
			t.Errorf("%q was taken for an emperor's mark", bad)
		}
	}
}

func TestStrangersAreNotOfTheTree(t *testing.T) {
	p := &Process{pid: 100, start: 1000, mark: "m/site/1"}
	living := table{
		1:   {pid: 1},
		100: {pid: 100, parent: 1, session: 100, start: 1000, mark: "m/site/1"},
		101: {pid: 101, parent: 100, session: 100, start: 1001},
		102: {pid: 102, parent: 101, session: 102, start: 1002},                    // a descendant in a session of its own
		103: {pid: 103, parent: 1, session: 100, start: 1003},                      // an orphan of the session
		104: {pid: 104, parent: 1, session: 104, start: 1004, mark: "m/site/1"},    // a daemon
		105: {pid: 105, parent: 1, session: 105, start: 1005, mark: "m/site/12"},   // another generation
		106: {pid: 106, parent: 1, session: 100, start: 900},                       // older than the child: not its session
		107: {pid: 107, parent: 100, session: 100, start: 1007, dead: true},        // a zombie
		108: {pid: 108, parent: 1, session: 108, start: 1008, mark: "M/site/1"},    // another emperor's
		109: {pid: 109, parent: 1, session: 100, start: 1009, mark: "m/other/1"},   // marked as somebody else's
		110: {pid: 110, parent: 104, session: 104, start: 1010, mark: "m/other/1"}, // but a descendant is ours
	}
	pids := func(t table) map[int]bool {
		m := map[int]bool{}
		for _, e := range p.tree(t) {
			m[e.pid] = true
		}
		return m
	}
	check := func(name string, got map[int]bool, want ...int) {
		t.Helper()
		for _, pid := range want {
			if !got[pid] {
				t.Errorf("%s: %d is missing", name, pid)
			}
			delete(got, pid)
		}
		if len(got) > 0 {
			t.Errorf("%s: strangers %v", name, got)
		}
	}
	check("while the child lives", pids(living), 100, 101, 102, 103, 104, 110)

	// The child is gone and its number belongs to a stranger with a session.
	living[100] = entry{pid: 100, parent: 1, session: 100, start: 2000}
	living[101] = entry{pid: 101, parent: 100, session: 100, start: 2001}
	check("after its number was reused", pids(living), 104, 110)
}

func TestMarkOfAnotherUserWithoutPtrace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("without root every process we start is our own user's")
		return
	}
	mark := "other-user-" + strconv.Itoa(os.Getpid())
	s := NewStarter(mark)
	defer s.Close()
	p, err := s.Start(context.Background(), &Command{
		Name: "n", Path: "sleep", Args: []string{"sleep", "3600"}, Umask: -1,
		Credential: &Credential{UID: 65533, GID: 65532},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.KillTree(context.Background())

	// This thread as root in a container: without CAP_SYS_PTRACE and the two that
	// stand for it in newer kernels (perfmon_capable, kernel/fork.c). It is
	// not unlocked, so that it ends with its goroutine and is used for nothing else.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		data[0].Effective &^= 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_SYS_ADMIN
		data[1].Effective &^= 1 << (unix.CAP_PERFMON - 32)
		if err := unix.Capset(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		if _, err := readProc(p.PID(), "environ", nil); err == nil {
			t.Error("the kernel did not refuse: this test shows nothing")
		}
		if got := readEntries([]int{p.PID()}, true)[p.PID()].mark; got != mark+"/n/0" {
			t.Errorf("mark %q", got)
		}
		// The thread is root again for files.
		if uid, _ := unix.SetfsuidRetUid(-1); uid != 0 {
			t.Errorf("file system uid %d is left", uid)
		}
		if gid, _ := unix.SetfsgidRetGid(-1); gid != 0 {
			t.Errorf("file system gid %d is left", gid)
		}
	}()
	<-done
}

func FuzzParseStat(f *testing.F) {
	line, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("42 (x) S 1 1 1 () S 10 20 30 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 777 0 0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseStat(text)
		if err == nil && !strings.Contains(string(text), e.name) {
			t.Errorf("name %q is not in %q", e.name, text)
		}
	})
}
