package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

// stopPatience is how long a child may take to end after SIGTERM. The emperor
// gives its vassals time and needs the most of all: 25 s.
const stopPatience = 30 * time.Second

// child is a program that bench started. It is started and stopped from the
// main goroutine; its output goes to a log file.
type child struct {
	name    string
	log     string
	process *os.Process
	ended   chan struct{} // closed when it has ended; state is set then
	state   *os.ProcessState
}

// program is what to start.
type program struct {
	path string
	args []string
	env  []string // beside this process's own
	// output is the file that the standard output is appended to, "" for the log.
	output string
}

// start runs a program in dir with its output in dir/NAME.log. The caller stops it.
func start(name, dir string, p program) (*child, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	command := exec.Command(p.path, p.args...)
	command.Dir = dir
	command.Env = append(os.Environ(), p.env...)
	command.Stdout, command.Stderr = log, log
	if p.output != "" {
		output, err := os.OpenFile(p.output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
		if err != nil {
			return nil, err
		}
		defer output.Close()
		command.Stdout = output
	}
	command.SysProcAttr = &syscall.SysProcAttr{
		// A session each, as under a service manager: the kernel shares the processor
		// out by sessions (autogroup), and the emperor's children have their own. In
		// one session with the load, a front measured a tenth better than it is.
		// It is a process group too, so that leftovers can be ended together.
		Setsid:    true,
		Pdeathsig: syscall.SIGTERM, // also when bench itself is killed
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &child{name: name, log: log.Name(), process: command.Process, ended: make(chan struct{})}
	go func() {
		// As long as it is dead but not waited for, nobody else can have its
		// number: the moment to end what it left in its group.
		waitUntilDead(command.Process.Pid)
		syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		command.Wait() // how it ended is in ProcessState
		c.state = command.ProcessState
		close(c.ended)
	}()
	return c, nil
}

// waitUntilDead returns when the child has ended, and leaves it to be waited for.
func waitUntilDead(pid int) {
	const (
		byPID    = 1         // P_PID, waitid(2)
		exited   = 0x4       // WEXITED
		leaveIt  = 0x1000000 // WNOWAIT
		infoSize = 128       // siginfo_t
	)
	var info [infoSize]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid), uintptr(unsafe.Pointer(&info[0])), exited|leaveIt, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

// stop ends the child and whatever it left in its process group, and waits.
func (c *child) stop() {
	c.process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(stopPatience):
		c.process.Kill() // os.Process knows whether it has been waited for
		<-c.ended
	}
}

// failure describes a child that ended by itself, with the end of its log.
func (c *child) failure() error {
	return fmt.Errorf("%s ended (%v); its last lines:\n%s", c.name, c.state, lastLines(c.log, 12))
}

// lastLines returns the end of a text file, indented, or says why it cannot.
func lastLines(path string, count int) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	if len(lines) > count {
		lines = lines[len(lines)-count:]
	}
	return append([]byte("    "), bytes.Join(lines, []byte("\n    "))...)
}

// waitFor asks again and again until ready says nil, the child has ended, or
// the deadline has passed; the last answer of ready is part of the error.
func (c *child) waitFor(ctx context.Context, deadline time.Duration, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-c.ended:
			return c.failure()
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%s is not ready after %v: %w; its last lines:\n%s", c.name, deadline, err, lastLines(c.log, 12))
		}
	}
}

// answersOn returns a check that something accepts connections: a path is a unix
// socket's, anything else a TCP address.
func answersOn(address string) func() error {
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	return func() error {
		conn, err := net.Dial(network, address)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

// freeAddress finds a TCP port on loopback that nobody uses at the moment.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// newClient makes an HTTP client that sends every request to address, whatever
// the host in its URL, over at most the given number of connections.
func newClient(address string, connections int) *http.Client {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", address)
			},
			MaxConnsPerHost:     connections,
			MaxIdleConnsPerHost: connections,
		},
	}
}
