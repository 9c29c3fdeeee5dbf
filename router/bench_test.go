package router

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
)

// steadyVassal is a vassal that allocates nothing: one goroutine with raw, blocking
// system calls that serves one connection after the other.
func steadyVassal(b testing.TB, protocol, answer string) *vassal {
	b.Helper()
	path := filepath.Join(b.TempDir(), "steady.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		b.Fatal(err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 1<<16)
		out := []byte(answer)
		for {
			// Accept4 of the unix package allocates an address.
			conn, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC, 0, 0)
			if errno != 0 {
				return
			}
			for {
				// Requests are small: one read brings one whole.
				n, err := unix.Read(int(conn), buffer)
				if err != nil || n <= 0 {
					break
				}
				_, _ = unix.Write(int(conn), out)
				if protocol != "http" {
					break
				}
			}
			_ = unix.Close(int(conn))
		}
	}()
	b.Cleanup(func() {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		_ = unix.Close(fd)
		<-done
	})
	return &vassal{address: path, protocol: protocol}
}

// steadyClient sends the same request again and again and wants the same answer.
type steadyClient struct {
	fd            int
	request, want []byte
	got           []byte
}

func newSteadyClient(b testing.TB, to net.Addr, request, want string) *steadyClient {
	b.Helper()
	tcp := to.(*net.TCPAddr)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Close(fd) })
	return &steadyClient{fd: fd, request: []byte(request), want: []byte(want), got: make([]byte, 64<<10)}
}

func (c *steadyClient) ask() error {
	if _, err := unix.Write(c.fd, c.request); err != nil {
		return err
	}
	for n := 0; n < len(c.want); {
		got, err := unix.Read(c.fd, c.got[n:])
		if err != nil {
			return err
		}
		if got == 0 {
			return io.ErrUnexpectedEOF
		}
		n += got
	}
	if !bytes.Equal(c.got[:len(c.want)], c.want) {
		return io.ErrShortBuffer
	}
	return nil
}

const (
	steadyResponse = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nSet-Cookie: a=b\r\nContent-Length: 12\r\n\r\nhello world\n"
	browserRequest = "GET /a%20b/c?d=e HTTP/1.1\r\nHost: www.Example.com:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n" +
		"Cookie: session=0123456789abcdef; csrf=fedcba9876543210\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Request-ID: given\r\nConnection: keep-alive\r\n\r\n"
)

// paths are the ways a request can go that must not cost memory.
var paths = []struct {
	name, protocol string
	rule           string // and other options, a line each; ADDRESS stands for the vassal's
	table          bool   // the vassal is in the table
	request        string
	answer, want   string
}{
	{"uwsgi by a rule", "uwsgi", `route-host = ^www\.example\.com$ uwsgi:ADDRESS,0,0`, false, browserRequest, steadyResponse, steadyResponse},
	{"uwsgi by a capture", "uwsgi", `route-host = ^(.+)\.example\.com$ vassal:$1`, true, browserRequest, steadyResponse, steadyResponse},
	{"uwsgi with a body", "uwsgi", `route-host = ^www\.example\.com$ uwsgi:ADDRESS,0,0`, true, "POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 5\r\n\r\nhello", steadyResponse, steadyResponse},
	{"uwsgi without length", "uwsgi", "http-to = ADDRESS", false, browserRequest, "HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	{"http by a rule", "http", `route-host = ^www\.example\.com$ http:ADDRESS`, false, browserRequest, steadyResponse, steadyResponse},
	{"http in the table", "http", `route-run = vassal:www`, true, browserRequest, steadyResponse, steadyResponse},
	{"redirect", "", `route-run = redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}`, false, browserRequest, "",
		"HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/plain\r\nLocation: https://www.Example.com:8080/a%20b/c?d=e\r\nContent-Length: 17\r\n\r\nMoved Permanently"},
	{"uwsgi with everything", "uwsgi", everything + `route-host = ^www\.example\.com$ vassal:www`, true, browserRequest, steadyResponse, steadyWithEverything},
	{"http with everything", "http", everything + `route-host = ^www\.example\.com$ http:ADDRESS`, true, browserRequest, steadyResponse, steadyWithEverything},
	{"one of several", "http", "http-balance = iphash\nroute-run = http:ADDRESS|ADDRESS", true, browserRequest, steadyResponse, steadyResponse},
	{"one of several unknown", "uwsgi", "http-balance = wlrc\nhttp-to = ADDRESS weight=3\nhttp-fallback = /nowhere/at/all/is/there/a/socket/of/this/name.sock", false, browserRequest, steadyResponse, steadyResponse},
	{"fastcgi", "fastcgi", "route-run = fastcgi:ADDRESS", false, browserRequest, record(fcgiStdout, "Content-Type: text/x\r\nContent-Length: 5\r\n\r\nhello") + ended(0),
		"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nhello"},
	{"scgi", "scgi", "route-run = scgi:ADDRESS", false, browserRequest, "Content-Type: text/x\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nhello"},
	{"refused", "", "route-host = ^nobody$ return:404", false, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n", "", "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nNot Found"},
}

// everything is what most sites switch on, and what is on whether they do or not.
const everything = `http-log = /dev/null
http-log-format = combined
http-limit-rate = 100000000/s
http-limit-rate = www.example.com 100000000/s by=host
http-limit-vassal = 100
http-limit-peer = 100
http-request-id = true
http-trusted-proxies = default
add-header = X-Front: 1
rem-header = Set-Cookie
maintenance = elsewhere
http-var = VISITOR=${REMOTE_ADDR} by ${REQUEST_METHOD}
http-post-buffering = 1
http-health = /_up
route-uri = ^/a logvar:NOTED=${PATH_INFO}
route-if = contains:${HTTP_COOKIE};session addheader:X-Session: yes
response-route-if = equal:${uwsgi[status]};200 addheader:X-Seen: ${REQUEST_METHOD}
error-route-status = 500 return:502
final-route-run = logvar:ENDED=${uwsgi[status]}
`

const steadyWithEverything = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Session: yes\r\nX-Seen: GET\r\nX-Front: 1\r\nX-Request-ID: given\r\nContent-Length: 12\r\n\r\nhello world\n"

func prepare(tb testing.TB, i int) (*front, *steadyClient) {
	tb.Helper()
	p := &paths[i]
	var v *vassal
	if p.protocol != "" {
		v = steadyVassal(tb, p.protocol, p.answer)
	} else {
		v = &vassal{}
	}
	f := newFront(tb, strings.Split(strings.ReplaceAll(p.rule, "ADDRESS", v.address), "\n")...)
	if p.table {
		f.vassals(row("www", 1, link.Ready, v))
	}
	client := newSteadyClient(tb, f.tcp.Addr(), p.request, p.want)
	for range 100 {
		if err := client.ask(); err != nil {
			tb.Fatalf("%v: got %q", err, bytes.TrimRight(client.got, "\x00"))
		}
	}
	return f, client
}

// TestNoAllocations: a warm request allocates nothing, in no goroutine.
func TestNoAllocations(t *testing.T) {
	for i := range paths {
		t.Run(paths[i].name, func(t *testing.T) {
			_, client := prepare(t, i)
			n := testing.AllocsPerRun(2000, func() {
				if err := client.ask(); err != nil {
					t.Fatal(err)
				}
			})
			if n > 0 {
				t.Errorf("%v allocations per request", n)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	for i := range paths {
		b.Run(paths[i].name, func(b *testing.B) {
			_, client := prepare(b, i)
			b.ReportAllocs()
			for b.Loop() {
				if err := client.ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
