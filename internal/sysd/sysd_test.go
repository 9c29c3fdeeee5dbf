package sysd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"emperor/internal/testport"
	"emperor/internal/testvassal"
)

// roleVariable makes the test binary print what Listeners gives it.
const roleVariable = "SYSD_TEST_PRINT_LISTENERS"

func TestMain(m *testing.M) {
	testvassal.MaybeRun()
	if os.Getenv(roleVariable) != "" {
		os.Exit(printListeners())
	}
	goleak.VerifyTestMain(m)
}

// deadline is generous: it only ends a test that hangs.
const deadline = 60 * time.Second

// received is what a child reports about Listeners.
type received struct {
	Err     string
	Sockets []Inherited
	Again   int
	Left    []string // LISTEN_ variables that are still there
	Exec    []int    // descriptors that are not close-on-exec
}

func printListeners() int {
	var r received
	byName, err := Listeners()
	if err != nil {
		r.Err = err.Error()
	}
	for _, list := range byName {
		for _, in := range list {
			r.Sockets = append(r.Sockets, *in)
			if flags, err := unix.FcntlInt(uintptr(in.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				r.Exec = append(r.Exec, in.FD)
			}
		}
	}
	slices.SortFunc(r.Sockets, func(a, b Inherited) int { return strings.Compare(a.Name+a.Address, b.Name+b.Address) })
	for i := range r.Sockets {
		r.Sockets[i].FD = 0
	}
	again, _ := Listeners()
	r.Again = len(again)
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "LISTEN_") {
			r.Left = append(r.Left, kv)
		}
	}
	json.NewEncoder(os.Stdout).Encode(r)
	return 0
}

// freeAddress is a TCP address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + testport.Free(t)
}

// activate runs this binary under the real systemd-socket-activate with those
// options, and connects to an address so that it is started.
func activate(t *testing.T, network, address string, options ...string) received {
	t.Helper()
	path, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatalf("this test needs systemd-socket-activate (Debian: systemd): %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var out bytes.Buffer
	c := exec.CommandContext(ctx, path, append(options, "-E", roleVariable+"=1", "-E", "GORACE=atexit_sleep_ms=0", os.Args[0])...)
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- c.Wait() }()
	// It listens soon; until then nothing answers, and datagrams are lost.
	for again := true; again; {
		if connection, err := net.Dial(network, address); err == nil {
			defer connection.Close()
			connection.Write([]byte("x"))
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			again = false
		case <-time.After(5 * time.Millisecond):
		}
	}
	var r received
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if r.Err != "" || r.Again != 0 || len(r.Left) > 0 || len(r.Exec) > 0 {
		t.Errorf("error %q, %d sockets the second time, left in the environment %v, not close-on-exec %v", r.Err, r.Again, r.Left, r.Exec)
	}
	return r
}

func TestListenersOfSocketActivate(t *testing.T) {
	dir := t.TempDir()
	port, path, abstract := freeAddress(t), filepath.Join(dir, "s.sock"), "@emperor-test/"+filepath.Base(dir)+fmt.Sprint(os.Getpid())
	for _, test := range []struct {
		name             string
		network, address string
		options          []string
		want             []Inherited
	}{
		{"named", "tcp", port, []string{"-l", port, "-l", path, "-l", abstract, "--fdname=http:ctl:ctl"}, []Inherited{
			{Name: "ctl", Kind: Listener, Network: "unix", Address: path},
			{Name: "ctl", Kind: Listener, Network: "unix", Address: abstract},
			{Name: "http", Kind: Listener, Network: "tcp", Address: port},
		}},
		{"without names", "unix", path, []string{"-l", path}, []Inherited{
			{Name: "LISTEN_FD_3", Kind: Listener, Network: "unix", Address: path},
		}},
		{"datagrams are reported", "udp", port, []string{"-d", "-l", port, "--fdname=http"}, []Inherited{
			{Name: "http", Kind: Datagram, Network: "udp", Address: port},
		}},
		{"packets", "unixpacket", path, []string{"--seqpacket", "-l", path}, []Inherited{
			{Name: "LISTEN_FD_3", Kind: Listener, Network: "unixpacket", Address: path},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := activate(t, test.network, test.address, test.options...)
			slices.SortFunc(test.want, func(a, b Inherited) int { return strings.Compare(a.Name+a.Address, b.Name+b.Address) })
			if !slices.Equal(got.Sockets, test.want) {
				t.Errorf("\n got %+v\nwant %+v", got.Sockets, test.want)
			}
			if _, err := os.Stat(path); err == nil {
				os.Remove(path) // left for its owner, which is systemd elsewhere
			}
		})
	}
}

func TestListenersOfOddThings(t *testing.T) {
	// A child that gets a pipe, an IPv6 socket and a connection, by a shell that
	// sets LISTEN_PID as only the process itself can.
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer six.Close()
	sixFile, err := six.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer sixFile.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	stream, other := os.NewFile(uintptr(pair[0]), "stream"), os.NewFile(uintptr(pair[1]), "other")
	defer stream.Close()
	defer other.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, test := range []struct {
		name, count, pid string
		want             []Inherited
		wantErr          string
	}{
		{"three kinds", "3", "$$", []Inherited{
			{Name: "connection", Kind: Stream, Network: "unix"},
			{Name: "fifo", Kind: Other},
			{Name: "six", Kind: Listener, Network: "tcp", Address: six.Addr().String()},
		}, ""},
		{"somebody else's", "3", "1", nil, ""},
		{"none", "0", "$$", nil, ""},
		{"not a number", "many", "$$", nil, `LISTEN_FDS: want a number of sockets, got "many"`},
		{"more than there are", "400", "$$", nil, "LISTEN_FDS is 400, but descriptor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := exec.Command("sh", "-c", `LISTEN_PID=`+test.pid+` exec "$0"`, os.Args[0])
			c.Env = append(os.Environ(), roleVariable+"=1", "GORACE=atexit_sleep_ms=0", "LISTEN_FDS="+test.count, "LISTEN_FDNAMES=fifo:six:connection")
			c.ExtraFiles = []*os.File{r, sixFile, stream}
			text, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			var got received
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.Err, test.wantErr) || (test.wantErr == "") != (got.Err == "") {
				t.Errorf("error %q, want %q", got.Err, test.wantErr)
			}
			if !slices.Equal(got.Sockets, test.want) || len(got.Left) > 0 {
				t.Errorf("\n got %+v, left %v\nwant %+v", got.Sockets, got.Left, test.want)
			}
		})
	}
}

// manager is a fake service manager: the socket that NOTIFY_SOCKET names.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(deadline))
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func message(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	var b [4096]byte
	n, err := c.Read(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotify(t *testing.T) {
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	m := manager(t)
	// More than once: nothing is unset.
	for _, test := range []struct {
		send []string
		want string
	}{
		{[]string{"READY=1", Status("5 vassals:\n all ready")}, "READY=1\nSTATUS=5 vassals:  all ready"},
		{[]string{ExtendTimeout(1500 * time.Millisecond)}, "EXTEND_TIMEOUT_USEC=1500000"},
		{[]string{"STOPPING=1"}, "STOPPING=1"},
	} {
		if err := Notify(test.send...); err != nil {
			t.Fatal(err)
		}
		if got := message(t, m); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if err := Notify(Reloading()); err != nil {
		t.Fatal(err)
	}
	var stamp int64
	if n, err := fmt.Sscanf(message(t, m), "RELOADING=1\nMONOTONIC_USEC=%d", &stamp); n != 1 || stamp <= 0 {
		t.Errorf("%v, %d", err, stamp)
	}
	m.Close()
	if err := Notify("READY=1"); err == nil {
		t.Error("no error although the manager is gone")
	}
}

func TestWatchdog(t *testing.T) {
	if err := Watchdog(context.Background(), func() bool { t.Error("asked although nobody watches"); return true }); err != nil {
		t.Error(err)
	}
	m := manager(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group sync.WaitGroup
	var asked atomic.Int64
	asleep := make(chan struct{})
	group.Go(func() {
		err := Watchdog(ctx, func() bool {
			if n := asked.Add(1); n == 6 {
				close(asleep)
			}
			return asked.Load() <= 3
		})
		if err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		if got := message(t, m); got != "WATCHDOG=1" {
			t.Error(got)
		}
	}
	<-asleep // three more questions, and no message
	cancel()
	group.Wait()
	m.SetReadDeadline(time.Unix(1, 0))
	if n, err := m.Read(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes although not alive", n)
	}

	t.Setenv("WATCHDOG_PID", "1")
	if err := Watchdog(context.Background(), nil); err != nil {
		t.Errorf("for another process: %v", err)
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if err := Watchdog(context.Background(), nil); err == nil {
		t.Error("no error for WATCHDOG_USEC=soon")
	}
}

func TestStripEnv(t *testing.T) {
	in := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=a", "LISTEN_PIDFDID=7", "LISTEN_ADDRESS=mine", "broken"}
	if got, want := StripEnv(in), []string{"PATH=/bin", "LISTEN_ADDRESS=mine", "broken"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func isReady(n *NotifySocket) bool {
	select {
	case <-n.Ready():
		return true
	default:
		return false
	}
}

func TestNotifySocket(t *testing.T) {
	n, err := NewNotifySocket()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	send := func(texts ...string) *exec.Cmd {
		t.Helper()
		var words []string
		for _, text := range texts {
			words = append(words, "notify="+text)
		}
		path, args, env := testvassal.Command(t, words...)
		c := &exec.Cmd{Path: path, Args: args, Env: append(env, "NOTIFY_SOCKET="+n.Address()), Stderr: os.Stderr}
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	// Sent before we listen: waits. The first sender does not belong.
	stranger := send("READY=1\nSTATUS=stranger")
	type sender struct{ pid, uid int }
	senders := make(chan sender, 100)
	n.Receive(func(pid, uid int) bool {
		senders <- sender{pid, uid}
		return pid != stranger.Process.Pid
	})
	if got := <-senders; got != (sender{stranger.Process.Pid, os.Getuid()}) {
		t.Errorf("sender %v", got)
	}
	friend := send("STATUS=loading", "READY=0", "READY=1\nSTATUS=serving = fine\nMAINPID=1", "READY=1")
	<-n.Ready()
	for range 4 { // the last is asked about after the third is dealt with
		if got := <-senders; got.pid != friend.Process.Pid {
			t.Errorf("sender %v", got)
		}
	}
	if got := n.Status(); got != "serving = fine" {
		t.Errorf("status %q", got)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestNotifySocketOfRealSenders(t *testing.T) {
	// systemd-notify sends descriptors along (BARRIER=1) and waits until we close
	// them; it hangs if we do not.
	path, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Fatalf("this test needs systemd-notify (Debian: systemd): %v", err)
	}
	n, err := NewNotifySocket()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	n.Receive(nil)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	c := exec.CommandContext(ctx, path, "--ready", "--status=up")
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+n.Address())
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	<-n.Ready()
	if n.Status() != "up" {
		t.Errorf("status %q", n.Status())
	}
}

func TestNotifySocketNobodyReady(t *testing.T) {
	n, err := NewNotifySocket()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewNotifySocket()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if n.Address() == other.Address() || isReady(n) {
		t.Error("two sockets of one address, or ready by itself")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
