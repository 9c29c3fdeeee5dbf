package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestListenTakesTheSocketHandedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "held.sock")
	held, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()

	env := environment(map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "77", "PORT": "1"})
	listener, err := listen(env, 77, duplicate(t, held))
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(listener, newSite("held", 77, testStart))

	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	response, err := client.Get("http://held.localhost/info")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if !strings.Contains(string(body), `"vassal":"held"`) {
		t.Errorf("answer is %s, want one of the vassal held", body)
	}

	// The next generation answers at the same path: it must outlive this one.
	listener.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket's path is gone after Close: %v", err)
	}
}

func TestListenFallsBackToPort(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"no activation":                     {"PORT": "0"},
		"activation meant for another pid":  {"PORT": "0", "LISTEN_FDS": "1", "LISTEN_PID": "76"},
		"activation without a process id":   {"PORT": "0", "LISTEN_FDS": "1"},
		"process id without any descriptor": {"PORT": "0", "LISTEN_PID": "77"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := listen(environment(env), 77, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			if network := listener.Addr().Network(); network != "tcp" {
				t.Errorf("listens on %s, want tcp", network)
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	notASocket := duplicate(t, file)

	for _, test := range []struct {
		name string
		env  map[string]string
		fd   int
		want string
	}{
		{"neither", nil, firstListenFD, "want a socket on descriptor 3 (LISTEN_FDS=1) or a port number in $PORT"},
		{"count is not a number", map[string]string{"LISTEN_FDS": "one", "LISTEN_PID": "77"}, firstListenFD, `LISTEN_FDS="one"`},
		{"count is zero", map[string]string{"LISTEN_FDS": "0", "LISTEN_PID": "77"}, firstListenFD, `LISTEN_FDS="0"`},
		{"not a socket", map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "77"}, notASocket, fmt.Sprintf("descriptor %d is not a listening socket", notASocket)},
		{"port is not a number", map[string]string{"PORT": "no such port"}, firstListenFD, "no such port"},
	} {
		t.Run(test.name, func(t *testing.T) {
			listener, err := listen(environment(test.env), 77, test.fd)
			if err == nil {
				listener.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %q, want it to contain %q", err, test.want)
			}
		})
	}
}

// duplicate returns a raw descriptor for what f has open, as a parent process
// would leave it to us. listen takes it over and closes it.
func duplicate(t *testing.T, f interface {
	SyscallConn() (syscall.RawConn, error)
}) int {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(original uintptr) { fd, dupErr = syscall.Dup(int(original)) }); err != nil || dupErr != nil {
		t.Fatal(strconv.Itoa(fd), err, dupErr)
	}
	return fd
}
