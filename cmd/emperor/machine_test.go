package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
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

// binary is the program under test, with the race detector; built once.
var binary struct {
	once  sync.Once
	dir   string
	plain string // folder of the one without the race detector, for benchmarks
	err   error
}

// together is how many tests run at once, unless -parallel says otherwise. They wait
// more than they compute: a uWSGI takes a second to be ready, and one to end.
const together = 6

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", strconv.Itoa(together))
	}
	// A program with the race detector sleeps a second before it ends, unless it is
	// told not to: here each command, each router and each emperor is one.
	_ = os.Setenv("GORACE", "halt_on_error=0 atexit_sleep_ms=0")
	code := m.Run()
	for _, dir := range []string{binary.dir, binary.plain} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// emperorBinary is the path of the program under test.
func emperorBinary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "emperor-bin"); binary.err != nil {
			return
		}
		// The router runs by another user, who must be able to read it.
		_ = os.Chmod(binary.dir, 0o755)
		build := exec.Command("go", "build", "-race", "-o", filepath.Join(binary.dir, "emperor"), ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=1")
		if out, err := build.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return filepath.Join(binary.dir, "emperor")
}

// machine is a folder with configuration and the emperor that runs it. When the
// test ends the emperor is stopped, and the test fails if it did not exit with 0,
// if anything it started is left, or if the race detector spoke.
type machine struct {
	t    *testing.T
	dir  string // short, for socket paths, and open to every user
	port string // of the front
	// env is added to the emperor's environment.
	env []string

	command *exec.Cmd
	exited  chan struct{}
	exit    error

	mu    sync.Mutex
	lines []string      // guarded by mu; the log
	more  chan struct{} // guarded by mu; closed when a line comes
}

// newMachine makes the folder; nothing runs yet. Folder, ports and processes are the
// test's own: whoever makes a machine runs beside others (t.Parallel).
func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "emp")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: dir, port: testport.Free(t), more: make(chan struct{})}
	t.Cleanup(func() {
		m.finish()
		_ = os.RemoveAll(dir)
	})
	return m
}

// path is a path within the folder.
func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// write puts a file into the folder, at once and whole, as a careful editor does.
// DIR and PORT in the text stand for the folder and the front's port.
func (m *machine) write(name, text string) {
	m.t.Helper()
	path := m.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	text = strings.NewReplacer("DIR", m.dir, "PORT", m.port).Replace(text)
	m.put(path, text)
}

// put writes a file as it is.
func (m *machine) put(path, text string) {
	m.t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		m.t.Fatal(err)
	}
}

// copyFile copies a file of testdata into the folder.
func (m *machine) copyFile(from, name string) {
	m.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	m.put(m.path(name), string(text))
}

// remove takes a file away.
func (m *machine) remove(name string) {
	m.t.Helper()
	if err := os.Remove(m.path(name)); err != nil {
		m.t.Fatal(err)
	}
}

// touch gives a file the time of now.
func (m *machine) touch(name string) {
	m.t.Helper()
	now := time.Now()
	if err := os.Chtimes(m.path(name), now, now); err != nil {
		m.t.Fatal(err)
	}
}

// start runs `emperor ARGS…` in the folder; with no arguments, uwsgi.ini. It does
// not wait for anything.
func (m *machine) start(args ...string) {
	m.t.Helper()
	if len(args) == 0 {
		args = []string{"uwsgi.ini"}
	}
	args = append(args, "--control", m.path("control.sock"))
	m.run(exec.Command(emperorBinary(m.t), args...))
}

// run is start for a command of the caller's, which ends up as an emperor.
func (m *machine) run(command *exec.Cmd) {
	m.t.Helper()
	command.Dir = m.dir
	// The folder's name in the environment finds everything that was started.
	command.Env = append(append(os.Environ(), "EMPEROR_TEST="+m.dir, "STATE_DIRECTORY="+m.path("state")), m.env...)
	output, err := command.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	command.Stdout = command.Stderr
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.command, m.exited = command, make(chan struct{})
	exited := m.exited
	go func() { // ends with the emperor's last word
		m.read(output)
		m.exit = command.Wait()
		close(exited)
	}()
}

func (m *machine) read(output io.Reader) {
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			m.mu.Lock()
			m.lines = append(m.lines, strings.TrimRight(line, "\n"))
			close(m.more)
			m.more = make(chan struct{})
			m.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// mark is a place in the log: waits that are given it look only at what comes after.
func (m *machine) mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.lines)
}

// waitLog waits for a line after mark that holds all the words, and returns it.
func (m *machine) waitLog(mark int, words ...string) string {
	m.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		m.mu.Lock()
		lines, more := m.lines, m.more
		m.mu.Unlock()
		for ; mark < len(lines); mark++ {
			if holdsAll(lines[mark], words) {
				return lines[mark]
			}
		}
		select {
		case <-more:
		case <-m.exited:
			m.t.Fatalf("the emperor ended (%v) before it logged %q", m.exit, words)
		case <-timeout.C:
			m.t.Fatalf("the emperor did not log %q", words)
		}
	}
}

// logged tells whether a line holds all the words, without waiting.
func (m *machine) logged(words ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.lines {
		if holdsAll(line, words) {
			return true
		}
	}
	return false
}

func holdsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// waitReady waits until the emperor says that the vassals of its first scan are
// ready or failed.
func (m *machine) waitReady() {
	m.t.Helper()
	m.waitLog(0, " ready vassals=")
}

// eventually waits until the condition holds.
func (m *machine) eventually(what string, condition func() bool) {
	m.t.Helper()
	pause := 2 * time.Millisecond
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			m.t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// address is the front's.
func (m *machine) address() string { return "127.0.0.1:" + m.port }

// get asks the front for a page of a host, on a connection of its own.
func (m *machine) get(host, path string) (status int, body string, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+m.address()+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = host
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// page is get for a page that must come.
func (m *machine) page(host, path string) string {
	m.t.Helper()
	status, body, err := m.get(host, path)
	if err != nil || status != http.StatusOK {
		m.t.Fatalf("GET %s%s: %d %q, %v", host, path, status, body, err)
	}
	return body
}

// ask runs `emperor WORDS…` beside the running emperor and returns what it wrote
// and its exit code.
func (m *machine) ask(words ...string) (string, int) {
	m.t.Helper()
	command := exec.Command(emperorBinary(m.t), words...)
	command.Dir = m.dir
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	if err != nil && command.ProcessState == nil {
		m.t.Fatal(err)
	}
	return out.String(), command.ProcessState.ExitCode()
}

// order is ask with the control socket's path.
func (m *machine) order(words ...string) (string, int) {
	m.t.Helper()
	return m.ask(append(words, "--control", m.path("control.sock"))...)
}

// signal sends the emperor a signal.
func (m *machine) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.command.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// waitExit waits for the emperor's end and returns its exit code, -1 for a signal.
func (m *machine) waitExit() int {
	m.t.Helper()
	select {
	case <-m.exited:
	case <-time.After(patience):
		m.t.Fatal("the emperor does not end")
	}
	return m.command.ProcessState.ExitCode()
}

// stop sends SIGTERM and wants a clean end.
func (m *machine) stop() {
	m.t.Helper()
	m.signal(syscall.SIGTERM)
	if code := m.waitExit(); code != 0 {
		m.t.Errorf("the emperor exited with %d (%v)", code, m.exit)
	}
	m.command = nil
}

// processes are all living ones that this machine's emperor started, directly or
// not, and itself, by pid with their command lines.
func (m *machine) processes() map[int]string {
	out := map[int]string{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		var pid int
		if _, err := fmt.Sscan(entry.Name(), &pid); err != nil {
			continue
		}
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(environment, []byte("EMPEROR_TEST="+m.dir+"\x00")) {
			continue
		}
		words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		out[pid] = strings.TrimSpace(strings.ReplaceAll(string(words), "\x00", " "))
	}
	return out
}

// pidOf is the process whose command line holds the text, 0 if there is none.
func (m *machine) pidOf(text string) int {
	for pid, words := range m.processes() {
		if strings.Contains(words, text) {
			return pid
		}
	}
	return 0
}

// finish is the end of every test.
func (m *machine) finish() {
	defer m.tell() // stop and eventually end a test that fails in them
	if m.command != nil {
		select {
		case <-m.exited:
		default:
			m.stop()
		}
	}
	if m.exited != nil {
		// An emperor that was killed leaves its vassals a few seconds.
		m.eventually("nothing that was started is left", func() bool { return len(m.processes()) == 0 })
	}
	if m.logged("DATA RACE") {
		m.t.Error("the race detector found something")
	}
}

// tell shows the log of a test that has failed.
func (m *machine) tell() {
	if !m.t.Failed() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// What the emperor says matters more than what a uWSGI says at each of its starts.
	const own, others = 60, 30
	var last []string
	for i, ours, theirs := len(m.lines)-1, 0, 0; i >= 0; i-- {
		count, most := &ours, own
		if strings.Contains(m.lines[i], " | ") {
			count, most = &theirs, others
		}
		if *count++; *count <= most {
			last = append(last, m.lines[i])
		}
	}
	slices.Reverse(last)
	m.t.Logf("the emperor's log, %d of %d lines (all: %s=FOLDER):\n%s", len(last), len(m.lines), logFolder, strings.Join(last, "\n"))
	if folder := os.Getenv(logFolder); folder != "" {
		name := strings.ReplaceAll(m.t.Name(), "/", "-") + filepath.Base(m.dir) + ".log"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(strings.Join(m.lines, "\n")+"\n"), 0o644); err != nil {
			m.t.Log(err)
		}
	}
}

// logFolder is the variable that names a folder for the whole logs of tests that failed.
const logFolder = "EMPEROR_TEST_LOGS"
