// Package testdns runs real name servers for tests: Debian's dnsmasq and unbound.
//
// They know the names below "test." that they are given, listen on 127.0.0.1 over UDP
// and TCP, and end with the test.
package testdns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"emperor/internal/testlog"
	"emperor/internal/testport"
)

// Server is a name server that runs.
type Server struct {
	Address netip.AddrPort

	t       testing.TB
	hosts   string // the path of its hosts file
	command *exec.Cmd
}

// Wanted is what a server is to know.
type Wanted struct {
	Port    string   // "" for one of its own
	Hosts   string   // of Dnsmasq, as in /etc/hosts; they have a TTL of a second
	Args    []string // of Dnsmasq, beside
	Records []string // of Unbound: "name.test. 60 A 10.0.0.1"
	Forward *Server  // of Unbound: who is asked for other names
}

// patience is how long a server may take to begin.
const patience = 30 * time.Second

// readyName is what each server knows, so that a test sees that it answers.
const readyName = "ready.test."

// Dnsmasq starts one.
func Dnsmasq(t testing.TB, w Wanted) *Server {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, hosts: filepath.Join(t.TempDir(), "hosts")}
	s.write(w.Hosts)
	s.start(w.Port, "dnsmasq", func(port string) []string {
		return append([]string{
			"--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file=", "--user=" + me.Username, "--port=" + port,
			"--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", "--addn-hosts=" + s.hosts, "--local-ttl=1", "--local=/test/",
		}, w.Args...)
	})
	return s
}

// Unbound starts one.
func Unbound(t testing.TB, w Wanted) *Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "unbound.conf")
	s := &Server{t: t}
	s.start(w.Port, "unbound", func(port string) []string {
		lines := []string{
			"server:", `username: ""`, `chroot: ""`, `directory: ""`, `pidfile: ""`, "use-syslog: no", "do-daemonize: no", "num-threads: 1",
			"interface: 127.0.0.1", "port: " + port, "do-ip6: no", `module-config: "iterator"`, "do-not-query-localhost: no",
			`local-zone: "test." static`, `local-data: "` + readyName + ` 60 A 127.0.0.1"`,
		}
		for _, r := range w.Records {
			lines = append(lines, "local-data: '"+r+"'")
		}
		if w.Forward != nil {
			lines = append(lines, "forward-zone:", `name: "."`, fmt.Sprint("forward-addr: 127.0.0.1@", w.Forward.Address.Port()))
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-d", "-c", path}
	})
	return s
}

// start runs the program until it answers.
func (s *Server) start(port, program string, args func(port string) []string) {
	t := s.t
	t.Helper()
	if port == "" {
		port = testport.Free(t)
	}
	s.Address = netip.MustParseAddrPort("127.0.0.1:" + port)
	var log testlog.Text
	// Debian keeps both in sbin, which an ordinary user's PATH lacks.
	s.command = exec.Command(filepath.Join("/usr/sbin", program), args(port)...)
	s.command.Stdout, s.command.Stderr = &log, &log
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("%s says:\n%s", program, log.String())
		}
	})
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, s.Address.String())
	}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, err := resolver.LookupNetIP(ctx, "ip4", readyName)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s does not answer: %v\n%s", program, err, log.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *Server) write(hosts string) {
	s.t.Helper()
	if err := os.WriteFile(s.hosts, []byte(hosts+"\n127.0.0.1 "+readyName[:len(readyName)-1]+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Change has a dnsmasq read other hosts, which it does in a moment.
func (s *Server) Change(hosts string) {
	s.t.Helper()
	s.write(hosts)
	s.signal(syscall.SIGHUP)
}

// Pause makes a server one that does not answer; until the test ends.
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// Stop ends a server, with those of its processes that hold TCP connections.
func (s *Server) Stop() {
	if s.command.ProcessState == nil {
		_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGKILL)
		_ = s.command.Wait()
	}
}
