package vassal

import (
	"emperor/vassal/logs"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// uwsgiLog tells a uWSGI, which writes its log file itself, to open it anew or to
// rotate it. uWSGI looks every second whether a file was touched; the files it is given
// for that have no name but a descriptor of its own (/proc/self/fd/N), so that they
// need no place that it may reach, whoever it has become.
type uwsgiLog struct {
	mu             sync.Mutex
	reopen, rotate int       // guarded by mu; -1 once closed
	at             time.Time // guarded by mu; what the files were touched with last: uWSGI sees whole seconds
	born           time.Time
}

// firstLook is by when a uWSGI has looked at the files for the first time. A touch
// before that it would not notice.
const firstLook = 3 * time.Second

func newUWSGILog() (*uwsgiLog, error) {
	l := &uwsgiLog{reopen: -1, rotate: -1, born: time.Now()}
	for _, fd := range []*int{&l.reopen, &l.rotate} {
		var err error
		if *fd, err = unix.MemfdCreate("touch", unix.MFD_CLOEXEC); err != nil {
			l.close()
			return nil, fmt.Errorf("a file to touch for uWSGI's log: %w", err)
		}
	}
	return l, nil
}

// arguments tell uWSGI which descriptors the files have there.
func (l *uwsgiLog) arguments(reopen, rotate int) []string {
	return []string{
		"--set", fmt.Sprintf("touch-logreopen=/proc/self/fd/%d", reopen), "--set", fmt.Sprintf("safe-fd=%d", reopen),
		"--set", fmt.Sprintf("touch-logrotate=/proc/self/fd/%d", rotate), "--set", fmt.Sprintf("safe-fd=%d", rotate),
	}
}

// Reopen implements logs.File. uWSGI does it within a second or so.
func (l *uwsgiLog) Reopen() <-chan error { return l.touch(&l.reopen) }

// Rotate implements logs.File.
func (l *uwsgiLog) Rotate() <-chan error { return l.touch(&l.rotate) }

func (l *uwsgiLog) touch(fd *int) <-chan error {
	reply := make(chan error, 1)
	if early := firstLook - time.Since(l.born); early > 0 {
		time.AfterFunc(early, func() { l.touchNow(fd) })
		reply <- nil
		return reply
	}
	reply <- l.touchNow(fd)
	return reply
}

func (l *uwsgiLog) touchNow(fd *int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *fd < 0 {
		return nil
	}
	now := time.Now()
	if next := l.at.Add(time.Second); now.Before(next) {
		now = next
	}
	l.at = now
	time := unix.NsecToTimespec(now.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", *fd), []unix.Timespec{time, time}, 0)
}

func (l *uwsgiLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fd := range []*int{&l.reopen, &l.rotate} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// describe are its descriptors; none of nil.
func (l *uwsgiLog) describe() []int {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return []int{l.reopen, l.rotate}
}

// adoptLog takes over what another binary of this process has made.
func (b *uwsgiBody) adoptLog(descriptors []int) error {
	if len(descriptors) != 2 {
		return nil // it writes none, or its binary knew no such thing
	}
	if err := errors.Join(isOpen(descriptors[0]), isOpen(descriptors[1])); err != nil {
		return err
	}
	b.ownLog = &uwsgiLog{reopen: descriptors[0], rotate: descriptors[1], at: time.Now()}
	b.output.Keeps(b)
	return nil
}

// openLog prepares the orders about the log of a uWSGI that writes one.
func (b *uwsgiBody) openLog() (err error) {
	if !b.spec.UWSGI.ReopenLog {
		return nil
	}
	if b.ownLog, err = newUWSGILog(); err == nil {
		b.output.Keeps(b)
	}
	return err
}

// closeLog is called when it has ended.
func (b *uwsgiBody) closeLog() {
	if b.ownLog != nil {
		b.output.Dropped(b)
		b.ownLog.close()
	}
}

func (b *uwsgiBody) KeptLogs() []logs.File { return []logs.File{b.ownLog} }
