package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testport"
)

// The benchmarks here run the program as users do, without the race detector:
//
//	go test ./cmd/emperor -run - -bench 'Starts|Neighbours|Sleepers' -benchtime 1x

// plainBinary is the program, built as it is released.
var plainBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "emperor-bench")
	if err != nil {
		return "", err
	}
	_ = os.Chmod(dir, 0o755)
	binary.plain = dir // removed by TestMain
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "emperor"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return filepath.Join(dir, "emperor"), nil
})

// bench is a folder with vassals, and a port.
type bench struct {
	b    *testing.B
	dir  string
	port string
	pid  int // of the emperor
	// sockets is a folder for them, on a tmpfs as /run is: on ext4 the making of a socket
	// takes a millisecond of a processor when others were removed just before, as those of
	// the last round were, which says nothing of starts.
	sockets string
}

func newBench(b *testing.B) *bench {
	b.Helper()
	dir, err := os.MkdirTemp("/tmp", "emp")
	if err != nil {
		b.Fatal(err)
	}
	_ = os.Chmod(dir, 0o755)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	sockets, err := os.MkdirTemp("/dev/shm", "emp")
	if err != nil {
		b.Fatal(err)
	}
	_ = os.Chmod(sockets, 0o755)
	b.Cleanup(func() { _ = os.RemoveAll(sockets) })
	m := &bench{b: b, dir: dir, sockets: sockets, port: testport.Free(b)}
	m.write("uwsgi.ini", "[uwsgi]\nemperor = %dvassals.d/*.ini\nhttp = 127.0.0.1:"+m.port+"\nroute-host = ^(\\w+)\\.test$ vassal:$1\n")
	return m
}

func (m *bench) write(name, text string) {
	m.b.Helper()
	path := filepath.Join(m.dir, name)
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	if err := os.WriteFile(path, []byte(strings.NewReplacer("DIR", m.dir, "SOCKETS", m.sockets).Replace(text)), 0o644); err != nil {
		m.b.Fatal(err)
	}
}

// run starts the emperor; stop ends it, and gives what it has logged.
func (m *bench) run() (stop func() string) {
	m.b.Helper()
	path, err := plainBinary()
	if err != nil {
		m.b.Fatal(err)
	}
	// A thousand open files is what services and logins begin with. A uWSGI that is handed
	// sockets looks at each descriptor up to that limit: with 20,000, as in some containers,
	// that alone is 7 ms of a processor for each start, which one by hand does not have.
	command := exec.Command("/bin/sh", "-c", `ulimit -Sn 1024; exec "$0" "$@"`, path, "uwsgi.ini", "--control", filepath.Join(m.dir, "control.sock"))
	command.Dir = m.dir
	command.Env = append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(m.dir, "state"))
	log, err := os.Create(filepath.Join(m.dir, "log"))
	if err != nil {
		m.b.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		m.b.Fatal(err)
	}
	m.pid = command.Process.Pid
	return func() string {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		log.Close()
		return m.log()
	}
}

// answers asks until a host answers with 200.
func (m *bench) answers(host string) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		request, _ := http.NewRequest("GET", "http://127.0.0.1:"+m.port+"/", nil)
		request.Host = host
		response, err := client.Do(request)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode == 200 {
			return
		}
	}
	m.b.Errorf("%s does not answer", host)
}

// ready waits until the log says that the vassal is.
func (m *bench) ready(name string) { m.logged(name + ": vassal ready") }

// logged waits for a text in the log.
func (m *bench) logged(text string) {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(m.log(), text) {
			return
		}
	}
	m.b.Errorf("the log never says %q", text)
}

const (
	goodSite = "[uwsgi]\nsocket = SOCKETS/%n.sock\nplugin = python3\nwsgi-file = DIR/good.py\n"
	goodApp  = "def application(e, r):\n    r('200 OK', [('Content-Length', '2')])\n    return [b'ok']\n"
)

// BenchmarkBrokenNeighbours is how long it takes from the start of the emperor until a
// good site answers, alone and beside 200 that cannot start: because the one app that they
// all have raises an exception, because each has one of its own that imports what is not
// there, or raises one, or because its file is missing. Then, when those are in their back-off, until one whose file is new does, and
// until the good one answers again after a restart of the emperor.
func BenchmarkBrokenNeighbours(b *testing.B) {
	if _, err := plainBinary(); err != nil {
		b.Fatal(err)
	}
	for _, broken := range []struct {
		name, file, app string
		count           int
	}{
		{"none", "", "", 0},
		{"one-app", "broken.py", "raise RuntimeError\n", 200},
		{"imports", "apps/%n.py", "import no_such_module\n", 200},
		{"raises", "apps/%n.py", "raise RuntimeError\n", 200},
		{"missing", "nowhere/%n.py", "", 200},
	} {
		for _, visited := range []bool{true, false} {
			b.Run(fmt.Sprintf("broken=%s/visited=%t", broken.name, visited), func(b *testing.B) {
				var cold, added, again time.Duration
				for range b.N {
					m := newBench(b)
					m.write("good.py", goodApp)
					m.write("broken.py", broken.app)
					for i := range broken.count {
						m.write(fmt.Sprintf("vassals.d/b%03d.ini", i), "[uwsgi]\nsocket = SOCKETS/%n.sock\nplugin = python3\nwsgi-file = DIR/"+broken.file+"\n")
						m.write(fmt.Sprintf("apps/b%03d.py", i), broken.app)
					}
					m.write("vassals.d/good.ini", goodSite) // the last by name
					await := func(name string) time.Duration {
						began := time.Now()
						if visited {
							m.answers(name + ".test")
						} else {
							m.ready(name)
						}
						return time.Since(began)
					}
					stop := m.run()
					cold += await("good")
					m.write("vassals.d/later.ini", goodSite)
					added += await("later")
					for i := range broken.count {
						m.logged(fmt.Sprintf("b%03d: the vassal did not start", i))
					}
					stop()
					_ = os.Remove(filepath.Join(m.dir, "vassals.d/later.ini"))
					stop = m.run()
					again += await("good")
					stop()
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(cold.Seconds()/float64(b.N), "s/first")
				b.ReportMetric(added.Seconds()/float64(b.N), "s/added")
				b.ReportMetric(again.Seconds()/float64(b.N), "s/restarted")
			})
		}
	}
}

// quick is a program that serves from its first moments.
const quick = `import socket
l = socket.socket(fileno=3)
while True:
    c, _ = l.accept()
    c.recv(65536)
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    c.close()
`

// started is what BenchmarkStarts starts many of.
type started struct {
	name    string
	vassal  string
	command []string // that a loop starts instead, with its socket as descriptor 3 if it takes that; a uWSGI below an emperor always has a master
	takes   bool
}

// BenchmarkStarts compares how many programs the emperor starts in a second, its own start
// included, with a loop that only forks and executes each, and binds its socket if it
// takes one, and for uWSGI with its own emperor. All count until somebody who asks one
// program after the other has had an answer from each. That the emperor calls a program
// ready a second after it has answered, if it lives still, is no part of it: all of them
// live that second at the same time.
func BenchmarkStarts(b *testing.B) {
	const programs = 500
	if _, err := plainBinary(); err != nil {
		b.Fatal(err)
	}
	for _, what := range []started{
		{"quick", "[uwsgi]\nsocket = SOCKETS/%n.sock\ncommand = /usr/bin/python3 -S -E DIR/app.py\n", []string{"/usr/bin/python3", "-S", "-E", "DIR/app.py"}, true},
		{"uwsgi", "[uwsgi]\nhttp-socket = SOCKETS/%n.sock\nplugin = python3\nwsgi-file = DIR/good.py\n", []string{"/usr/bin/uwsgi", "--master", "--ini", "DIR/vassals.d/NAME.ini"}, false},
	} {
		b.Run(what.name, func(b *testing.B) {
			ways := []func(*testing.B, int) effort{what.byEmperor, what.byHand}
			if !what.takes {
				ways = append(ways, what.byUWSGI)
			}
			sums := make([]effort, len(ways))
			for round := range b.N {
				for i := range ways {
					i = (i + round) % len(ways) // whoever is first finds another machine than who comes next
					touchMemory(b)
					e := ways[i](b, programs)
					sums[i].took += e.took
					sums[i].busy += e.busy
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, way := range []string{"starts", "byhand", "byuwsgi"}[:len(ways)] {
				b.ReportMetric(programs*float64(b.N)/sums[i].took.Seconds(), way+"/s")
				if i > 0 {
					b.ReportMetric(sums[i].took.Seconds()/sums[0].took.Seconds(), "of-"+way)
					b.ReportMetric(sums[0].busy.Seconds()/sums[i].busy.Seconds(), "cpu-of-"+way)
				}
			}
		})
	}
}

// touchMemory makes the machine below, if this one is virtual, give back what it has
// taken because it was free. That takes longer than all else that a start does, and
// would be paid by whoever comes first.
func touchMemory(b *testing.B) {
	b.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	var available int
	if _, after, ok := strings.Cut(string(text), "MemAvailable:"); ok {
		available, _ = strconv.Atoi(strings.Fields(after)[0])
	}
	memory, err := syscall.Mmap(-1, 0, min(available<<10/2, 8<<30), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	if err := syscall.Munmap(memory); err != nil {
		b.Fatal(err)
	}
}

// effort is what starting many programs takes: how long, and how much of all processors.
type effort struct{ took, busy time.Duration }

// beginEffort gives what is to be called at the end.
func beginEffort(b *testing.B) (end func() effort) {
	b.Helper()
	began, before := time.Now(), processorsBusy(b)
	return func() effort { return effort{time.Since(began), processorsBusy(b) - before} }
}

// processorsBusy is how long all processors together have worked, for whomever.
func processorsBusy(b *testing.B) (busy time.Duration) {
	b.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	const tick = 10 * time.Millisecond
	fields := strings.Fields(strings.SplitN(string(text), "\n", 2)[0])
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, and interrupts; see proc(5)
		ticks, _ := strconv.Atoi(fields[i])
		busy += time.Duration(ticks) * tick
	}
	return busy
}

func (s *started) bench(b *testing.B, programs int) *bench {
	m := newBench(b)
	m.write("app.py", quick)
	m.write("good.py", goodApp)
	for i := range programs {
		m.write(fmt.Sprintf("vassals.d/s%03d.ini", i), s.vassal)
	}
	return m
}

func (s *started) byEmperor(b *testing.B, programs int) effort {
	m := s.bench(b, programs)
	end := beginEffort(b)
	stop := m.run()
	m.askEach(programs)
	e := end()
	stop()
	return e
}

func (s *started) byHand(b *testing.B, programs int) effort {
	m := s.bench(b, programs)
	end := beginEffort(b)
	for i := range programs {
		arguments := slices.Clone(s.command)
		for j := range arguments {
			arguments[j] = strings.NewReplacer("DIR", m.dir, "NAME", fmt.Sprintf("s%03d", i)).Replace(arguments[j])
		}
		command := exec.Command(arguments[0], arguments[1:]...)
		if s.takes {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: m.socket(i), Net: "unix"})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			file, _ := l.File()
			defer file.Close()
			command.ExtraFiles = []*os.File{file}
		}
		// As the emperor does: the kernel shares processors out by sessions.
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := command.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() {
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // and its workers
			_ = command.Wait()
		}()
	}
	m.askEach(programs)
	return end()
}

// byUWSGI has an emperor of uWSGI do it.
func (s *started) byUWSGI(b *testing.B, programs int) effort {
	m := s.bench(b, programs)
	end := beginEffort(b)
	command := exec.Command("/usr/bin/uwsgi", "--master", "--emperor", filepath.Join(m.dir, "vassals.d"))
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	m.askEach(programs)
	e := end()
	_ = command.Process.Signal(syscall.SIGINT)
	_ = command.Wait()
	return e
}

func (m *bench) socket(i int) string { return filepath.Join(m.sockets, fmt.Sprintf("s%03d.sock", i)) }

// askEach gets an answer from each program, as soon as its socket is there.
func (m *bench) askEach(programs int) {
	m.b.Helper()
	end := time.Now().Add(4 * time.Minute)
	for i := range programs {
		c, err := net.Dial("unix", m.socket(i))
		for ; err != nil; c, err = net.Dial("unix", m.socket(i)) {
			if time.Now().After(end) {
				m.b.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		_ = c.SetDeadline(end)
		_, _ = c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		if answer, err := io.ReadAll(c); len(answer) == 0 {
			m.b.Fatalf("program %d does not answer: %v", i, err)
		}
		c.Close()
	}
}

// BenchmarkSleepers is how long it takes until ten thousand on-demand vassals are armed,
// how much memory each takes then, and how much of a processor all of them at rest. Their
// sockets are on a tmpfs, as /run is.
func BenchmarkSleepers(b *testing.B) {
	const sleepers = 10_000
	if _, err := plainBinary(); err != nil {
		b.Fatal(err)
	}
	var took, rest time.Duration
	var memory int
	for range b.N {
		m := newBench(b)
		for i := range sleepers {
			m.write(fmt.Sprintf("vassals.d/s%05d.ini", i), "[uwsgi]\non-demand = true\nsocket = SOCKETS/%n.sock\ncommand = /bin/false\n")
		}
		began := time.Now()
		stop := m.run()
		for end := time.Now().Add(time.Minute); !strings.Contains(m.log(), fmt.Sprintf("%d asleep", sleepers)); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				b.Fatal("not all are asleep")
			}
		}
		took += time.Since(began)
		time.Sleep(2 * time.Second) // what only the start needed is given back
		before := m.processorTime()
		time.Sleep(10 * time.Second)
		rest += m.processorTime() - before
		memory += m.resident()
		stop()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds()/float64(b.N), "s/armed")
	b.ReportMetric(float64(memory)/float64(b.N)/sleepers, "B/sleeper")
	b.ReportMetric(rest.Seconds()/10/float64(b.N), "cpus/at-rest")
}

func (m *bench) log() string {
	text, _ := os.ReadFile(filepath.Join(m.dir, "log"))
	return string(text)
}

// processorTime is what the emperor's own threads have used; none of them ends at rest.
func (m *bench) processorTime() (used time.Duration) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", m.pid))
	if err != nil || len(threads) == 0 {
		m.b.Fatal("no threads", err)
	}
	for _, thread := range threads {
		text, _ := os.ReadFile(thread)
		first, _, _ := strings.Cut(string(text), " ")
		nanoseconds, _ := strconv.ParseInt(first, 10, 64)
		used += time.Duration(nanoseconds)
	}
	return used
}

// resident is the emperor's memory in bytes.
func (m *bench) resident() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", m.pid))
	if err != nil {
		m.b.Fatal(err)
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize()
}
