package router

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// blackHole is a TCP address that answers nothing, not even no: a machine that is
// down, or behind a firewall. (Its queue is full, so the kernel drops what comes.)
func blackHole(t *testing.T) string {
	t.Helper()
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	l := socket()
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	for {
		one := socket()
		if err := unix.Connect(one, name); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
		// Loopback is connected at once or, when the queue is full, not at all.
		fds := []unix.PollFd{{Fd: int32(one), Events: unix.POLLOUT}}
		if n, err := unix.Poll(fds, 100); err == nil && n == 0 {
			return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
		}
	}
}

// TestAddressThatAnswersNothing: the next address of a group answers instead, and
// the silent one is passed over from then on; where there is no other, 504.
func TestAddressThatAnswersNothing(t *testing.T) {
	silent := blackHole(t)
	v := uwsgiVassal(t, answering(okResponse))
	for _, test := range []struct {
		name    string
		options []string
		status  int
	}{
		{"http-to", []string{"http-to = " + silent, "http-to = " + v.address}, 200},
		{"http-fallback", []string{"http-to = " + silent, "http-fallback = " + v.address}, 200},
		{"rule with two", []string{"route-run = uwsgi:" + silent + "|" + v.address + ",0,0"}, 200},
		{"only http-to", []string{"http-to = " + silent}, 504},
		{"only rule", []string{"route-run = uwsgi:" + silent + ",0,0"}, 504},
		{"rule with http", []string{"route-run = http:" + silent}, 504},
		{"vassal", []string{"route-run = vassal:v"}, 504},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, test.options...)
			f.adjust(func(s *Settings) { s.connectTimeout = time.Second })
			f.vassals(link.Vassal{Name: "v", Generation: 1, State: link.Ready, Addresses: []link.Address{{Address: silent, Protocol: "uwsgi"}}})
			// More than one, because the first turn may be the other's.
			for range 3 {
				if r := f.ask(get("a")); r.StatusCode != test.status {
					t.Errorf("got %d %q, want %d", r.StatusCode, r.text, test.status)
				}
			}
			if test.status == 200 && strings.Count(f.log.String(), "passed over") != 1 {
				t.Errorf("the silent address was tried again:\n%s", f.log)
			}
			if test.status == 504 && !strings.Contains(f.log.String(), "no connection within http-connect-timeout") {
				t.Errorf("the log does not say what took too long:\n%s", f.log)
			}
		})
	}
}
