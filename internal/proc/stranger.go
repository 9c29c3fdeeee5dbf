package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stranger is a process that is no child of ours and of which somebody has told us the
// number, as in a pid file. Only one that such a user could signal himself is met: whoever
// writes pid files must not make us end what is not his.
type Stranger struct {
	pid   int
	pidfd *os.File
	done  chan struct{}
	once  sync.Once
}

// ErrNoProcess is returned by Meet when there is no process of that number.
var ErrNoProcess = errors.New("there is no such process")

// Meet looks a process up. uid is whose it must be; 0 is anybody's.
func Meet(pid, uid int) (*Stranger, error) {
	if pid <= 1 || pid == os.Getpid() {
		return nil, fmt.Errorf("process %d: %w", pid, ErrNoProcess)
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, ErrNoProcess) // also a thread's number
	}
	// What is read after the descriptor was opened is about its process, or about one
	// that has ended; that is seen at once below.
	owner, err := ownerOf(pid)
	if err == nil && uid != 0 && owner != uid {
		err = fmt.Errorf("process %d is user %d's, not user %d's", pid, owner, uid)
	}
	if err == nil && unix.PidfdSendSignal(fd, 0, nil, 0) == unix.ESRCH {
		err = fmt.Errorf("process %d: %w", pid, ErrNoProcess)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	s := &Stranger{pid: pid, pidfd: newPIDFile(fd, "process "+strconv.Itoa(pid)), done: make(chan struct{})}
	go func() { // ends with the process, or with Leave
		waitPIDFD(s.pidfd)
		close(s.done)
	}()
	return s, nil
}

// ownerOf is the real user of a process that has not ended.
func ownerOf(pid int) (int, error) {
	text, err := readProc(pid, "status", nil)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, ErrNoProcess)
	}
	owner := -1
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(string(line), ":")
		words := strings.Fields(value)
		switch {
		case len(words) == 0:
		case name == "State" && (words[0] == "Z" || words[0] == "X"):
			return 0, fmt.Errorf("process %d: %w", pid, ErrNoProcess)
		case name == "Uid":
			owner, err = strconv.Atoi(words[0])
		}
	}
	return owner, err
}

// PID is its number.
func (s *Stranger) PID() int { return s.pid }

// Done is closed when it has ended, or after Leave.
func (s *Stranger) Done() <-chan struct{} { return s.done }

// Signal sends it a signal; os.ErrProcessDone when it has ended.
func (s *Stranger) Signal(sig syscall.Signal) error {
	connection, err := s.pidfd.SyscallConn()
	if err != nil {
		return os.ErrProcessDone
	}
	var sendErr error
	err = connection.Control(func(fd uintptr) { sendErr = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err != nil || errors.Is(sendErr, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return sendErr
}

// Leave forgets it.
func (s *Stranger) Leave() {
	s.once.Do(func() { s.pidfd.Close() })
	<-s.done
}
