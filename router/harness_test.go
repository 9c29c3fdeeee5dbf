package router

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/resource"
	"emperor/internal/testlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. Nothing is asserted
// about how fast it does.
const patience = 30 * time.Second

// front is a Router under test with one TCP and one unix listener.
type front struct {
	*Router
	t    testing.TB
	tcp  net.Listener // the emperor's copies, which stay open
	unix net.Listener
	also []extra // listeners beside them
	log  *testlog.Text
	// option is what made the TCP listener.
	option string
	// system is what files of the machine hold instead of what they do (/etc/hosts).
	system map[string]string
	later  atomic.Int64 // nanoseconds by which the clock of idle connections to vassals is ahead
}

// extra is a listener that another option asked for.
type extra struct {
	net.Listener
	option string
}

// newFront starts a router with options written as "key = value".
func newFront(t testing.TB, options ...string) *front {
	t.Helper()
	f := &front{t: t, log: &testlog.Text{}, option: optionHTTP}
	r, err := newRouter(slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		func() time.Time { return time.Now().Add(time.Duration(f.later.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	f.Router = r
	if f.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if f.unix, err = net.Listen("unix", filepath.Join(t.TempDir(), "front.sock")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		_ = f.tcp.Close()
		_ = f.unix.Close()
		for _, l := range f.also {
			_ = l.Close()
		}
		if t.Failed() {
			text := f.log.String()
			t.Logf("the end of the router's log:\n%s", text[max(0, len(text)-3000):])
		}
	})
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	return f
}

// listen adds a listener of that option, from the next configure on.
func (f *front) listen(option, address string) net.Addr {
	f.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.also = append(f.also, extra{l, option})
	return l.Addr()
}

// configure sends a configuration as the emperor would, with both listeners.
func (f *front) configure(options ...string) error {
	f.t.Helper()
	c := &link.Configuration{Listeners: []link.Listener{
		{Option: f.option, Address: f.tcp.Addr().String(), File: "uwsgi.ini", Line: 1},
		{Option: "http", Address: f.unix.Addr().String(), File: "uwsgi.ini", Line: 2},
	}}
	for _, l := range f.also {
		c.Listeners = append(c.Listeners, link.Listener{Option: l.option, Address: l.Addr().String(), File: "uwsgi.ini", Line: 1})
	}
	// Responses are compared byte by byte.
	options = append([]string{"http-date = false"}, options...)
	for i, option := range options {
		key, value, _ := strings.Cut(option, "=")
		c.Options = append(c.Options, link.Option{Key: strings.TrimSpace(key), Value: strings.TrimSpace(value), File: "uwsgi.ini", Line: i + 2})
	}
	supply := &supply{checking: true}
	compile(mustOptions(f.t, c.Options), supply) // mistakes are Configure's to report
	c.Resources = supply.wanted
	for i := range c.Resources {
		if err := resource.Load(&c.Resources[i]); err != nil {
			return err
		}
		if text, ok := f.system[c.Resources[i].Path]; ok {
			c.Resources[i].Content = []byte(text)
		}
	}
	opened, err := resource.Open(c.Resources)
	if err != nil {
		f.t.Fatal(err)
	}
	descriptors := []int{descriptor(f.t, f.tcp), descriptor(f.t, f.unix)}
	for _, l := range f.also {
		descriptors = append(descriptors, descriptor(f.t, l.Listener))
	}
	return f.Configure(c, append(descriptors, opened...))
}

func mustOptions(t testing.TB, sent []link.Option) *config.Config {
	set, err := config.NewSet(Options)
	if err != nil {
		t.Fatal(err)
	}
	return options(set, sent)
}

// adjust replaces the settings in force by a changed copy: limits shorter than
// a configuration can express.
func (f *front) adjust(change func(s *Settings)) {
	s := *f.current()
	change(&s)
	f.settings.Store(&s)
}

// vassals sends rows of the vassal table.
func (f *front) vassals(rows ...link.Vassal) {
	f.t.Helper()
	if err := f.Table(&link.Table{Vassals: rows}); err != nil {
		f.t.Fatal(err)
	}
}

// row is a table row for the fake vassal v.
func row(name string, generation uint64, state link.State, vassals ...*vassal) link.Vassal {
	r := link.Vassal{Name: name, Generation: generation, State: state}
	for _, v := range vassals {
		r.Addresses = append(r.Addresses, link.Address{Address: v.address, Protocol: v.protocol})
	}
	return r
}

// descriptor returns a raw copy of a listener's descriptor, to be given away.
func descriptor(t testing.TB, l net.Listener) int {
	t.Helper()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if controlErr := raw.Control(func(socket uintptr) { fd, err = unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0) }); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return fd
}

// lines is a log that may be read while it is written.
// eventually waits for a state that no event announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// busySocket is a unix socket whose queue is full, so that connecting has to
// wait.
func busySocket(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "busy.sock")
	socket := func() int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	l := socket()
	if err := errors.Join(unix.Bind(l, &unix.SockaddrUnix{Name: path}), unix.Listen(l, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		switch err := unix.Connect(socket(), &unix.SockaddrUnix{Name: path}); err {
		case nil:
		case unix.EAGAIN:
			return path
		default:
			t.Fatal(err)
		}
	}
}
