//go:build systemd

// Package systemd tries the installed program with a systemd that runs: what the other
// tests only try with a notify socket of their own. Everything is as `make install`
// leaves it, units included.
//
// The tests take over the machine that they run on, so they have one of their own, which
// in-namespaces (a systemd as PID 1 of a few namespaces: seconds, but no memory, cpu and
// pids controllers where the machine around it keeps those) or in-qemu (a kernel of its
// own, with all controllers: minutes) makes. `make test-systemd` and `make
// test-systemd-qemu` call these. They are behind a build tag, because not every place
// that tests are run in may make namespaces.
package systemd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// marker is there in machines that may be taken over.
	marker = "/run/emperor-test-machine"
	// library is where the launchers put what the tests need beside the installed program.
	library = "/usr/local/lib/emperor-test/"
	program = "/usr/local/bin/emperor"
	// siteVariable in its environment makes this program a site.
	siteVariable = "EMPEROR_TEST_SITE"
	// patience is how long a test waits for something that must come; a machine without
	// hardware of its own is slow.
	patience = 2 * time.Minute
)

func TestMain(m *testing.M) {
	if os.Getenv(siteVariable) != "" {
		beSite()
		return
	}
	if _, err := os.Stat(marker); err != nil {
		fmt.Fprintln(os.Stderr, "these tests take over the systemd of the machine they run on: make test-systemd gives them one of their own")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// install begins a test: the program, the units and the main file as installed, these
// sites (name → lines), this drop-in for the service, and nothing that runs.
func install(t *testing.T, sites map[string]string, dropIn ...string) {
	t.Helper()
	if t.Failed() {
		return
	}
	clean := func() {
		_, _ = command("systemctl", "stop", "emperor.socket", "emperor.service")
		_, _ = command("systemctl", "reset-failed")
		for _, path := range []string{"/etc/systemd/system/emperor.service.d", "/etc/systemd/system/emperor.socket.d", "/etc/emperor", "/run/emperor"} {
			if err := os.RemoveAll(path); err != nil {
				t.Error(err)
			}
		}
	}
	clean()
	began := time.Now()
	t.Cleanup(func() {
		if t.Failed() {
			status, _ := command("systemctl", "--no-pager", "--full", "status", "emperor.service")
			journal, _ := command("journalctl", "--no-pager", "-o", "short-precise", "-u", "emperor.service", "-u", "emperor.socket", "-n", "150", "--since", began.Format("2006-01-02 15:04:05"))
			t.Logf("%s\n%s", status, journal)
		}
		clean()
	})
	copyFile(t, library+"emperor", program)
	copyFile(t, library+"emperor.ini", "/etc/emperor/emperor.ini")
	if err := os.MkdirAll("/etc/emperor/vassals.d", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, lines := range sites {
		writeSite(t, name, lines)
	}
	if len(dropIn) > 0 {
		write(t, "/etc/systemd/system/emperor.service.d/test.conf", "[Service]\n"+strings.Join(dropIn, "\n")+"\n")
	}
	must(t, "systemctl", "daemon-reload")
}

// writeSite makes a site that is this program.
func writeSite(t *testing.T, name, lines string) {
	t.Helper()
	write(t, "/etc/emperor/vassals.d/"+name+".ini",
		"[uwsgi]\nsocket = /run/emperor/%n.sock\nenv = "+siteVariable+"=%n\ncommand = "+library+"systemd.test\nready-path = /\n"+lines)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyFile puts a new file in the place of the old one, as install(1) does.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "install", "-m", "755", from, to)
}

// command runs one and returns what it printed.
func command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(bytes.TrimSpace(out)), err
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// property is one of the service's.
func property(t *testing.T, name string) string {
	t.Helper()
	return must(t, "systemctl", "show", "--value", "-p", name, "emperor.service")
}

// eventually waits for a condition; it says what it waited for.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in %s not: %s", patience, what)
		}
	}
}

// status waits for what the service manager was told.
func status(t *testing.T, want string) {
	t.Helper()
	eventually(t, "the status has "+want, func() bool { return strings.Contains(property(t, "StatusText"), want) })
}

// fresh is a client that opens a connection for each request.
var fresh = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// get asks the front for a page of a site.
func get(client *http.Client, site, path string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		return "", err
	}
	request.Host = site
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s%s: %s: %s", site, path, response.Status, text)
	}
	return string(text), err
}

// page is what a site answers.
func page(t *testing.T, site, path string) string {
	t.Helper()
	text, err := get(fresh, site, path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// load asks a site again and again, from four clients with a connection for each request,
// until the returned function is called, which says how many requests were answered, and
// how each other one failed.
func load(site string) (stop func() (answered int, failed []error)) {
	const clients = 4
	type result struct {
		answered int
		failed   []error
	}
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan result)
	for range clients {
		go func() {
			var r result
			for ctx.Err() == nil {
				if _, err := get(fresh, site, "/"); err != nil {
					r.failed = append(r.failed, err)
				} else {
					r.answered++
				}
				time.Sleep(20 * time.Millisecond)
			}
			results <- r
		}()
	}
	return func() (answered int, failed []error) {
		cancel()
		for range clients {
			r := <-results
			answered += r.answered
			failed = append(failed, r.failed...)
		}
		return answered, failed
	}
}

// journal is what the units' log says, in journalctl's words.
func journal(t *testing.T, args ...string) string {
	t.Helper()
	must(t, "journalctl", "--sync")
	out, err := command("journalctl", append([]string{"--no-pager", "-b"}, args...)...)
	if err != nil && !strings.Contains(out, "No entries") {
		t.Fatal(err)
	}
	return out
}

// refused tells whether nobody listens on the front's port.
func refused() bool {
	c, err := net.Dial("tcp", "127.0.0.1:80")
	if err == nil {
		c.Close()
	}
	return err != nil
}
