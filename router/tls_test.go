package router

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"emperor/internal/testcert"
)

// TestPlainHTTPToASecurePort: who speaks plain HTTP to it can read why that is no use,
// however much was sent.
func TestPlainHTTPToASecurePort(t *testing.T) {
	f := newFront(t)
	f.secured()
	for _, request := range []string{
		get("a"),
		"HEAD / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("x", 30<<10) + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1_000_000),
		"GET /", // and no more
	} {
		conn, err := net.Dial("tcp", f.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, request)
		text, err := io.ReadAll(conn)
		_ = conn.Close()
		if !strings.HasPrefix(string(text), "HTTP/1.1 400 ") || !strings.HasSuffix(string(text), "this port speaks https; write https:// in front of the address\n") || err != nil {
			t.Errorf("%.20q, %d bytes: %q, %v", request, len(request), text, err)
		}
	}
}

// TestSlowHandshake: a ClientHello that drips in keeps its connection no longer than a
// handshake may take, and nobody else.
func TestSlowHandshake(t *testing.T) {
	t.Parallel() // it waits
	f := newFront(t, "route-run = return:204")
	f.secured("route-run = return:204")
	conn, err := net.Dial("tcp", f.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ended := make(chan error, 1)
	go func() {
		_ = conn.SetReadDeadline(time.Now().Add(handshakeTime + patience))
		_, err := io.Copy(io.Discard, conn)
		ended <- err
	}()
	for i := 0; ; i++ {
		// The start of a record of 16 KB, byte by byte.
		_, _ = conn.Write([]byte{"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"[min(i, 10)]})
		select {
		case err := <-ended:
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Error("the connection stays open")
			}
			return
		case <-time.After(500 * time.Millisecond):
		}
		neighbour, err := tls.Dial("tcp", f.tcp.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("a neighbour: %v", err)
			return
		}
		_, _ = fmt.Fprint(neighbour, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if text, err := io.ReadAll(neighbour); !strings.HasPrefix(string(text), "HTTP/1.1 204 ") {
			t.Errorf("a neighbour: %q %v", text, err)
		}
		_ = neighbour.Close()
	}
}

// TestTicketOfAnotherName: a ticket is good for the names of one pair and one demand for
// a client certificate; what the vassal is told of is the connection that it is offered
// on, not the one that it comes from.
func TestTicketOfAnotherName(t *testing.T) {
	alice, staff := member(t, "alice")
	_, club := member(t, "bob")
	dir, later := t.TempDir(), time.Now().Add(100*24*time.Hour)
	write(t, dir+"/staff.pem", staff)
	write(t, dir+"/club.pem", club)
	pair := pairFiles(t, dir, "pair", later, "*.test")
	f := newFront(t)
	f.option = optionHTTPS
	if err := f.configure("https = "+f.tcp.Addr().String(), "https-export-tls = true",
		"sni = *.open.test "+pair, "sni = staff.test "+pair+",HIGH,!"+dir+"/staff.pem", "sni = club.test "+pair+",HIGH,!"+dir+"/club.pem",
		"route-run = addheader:X-Told: ${HTTPS_SNI} ${HTTPS_DN}", "route-run = return:200"); err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			from, to string
			resumes  bool
			told     string // empty: no connection
		}{
			{"a.open.test", "a.open.test", true, "a.open.test "},
			{"a.open.test", "b.open.test", true, "b.open.test "},
			{"a.open.test", "A.Open.Test", true, "a.open.test "},
			{"a.open.test", "staff.test", false, "staff.test /CN=alice"},
			{"staff.test", "staff.test", true, "staff.test /CN=alice"},
			{"staff.test", "a.open.test", false, "a.open.test "},
			{"staff.test", "club.test", false, ""},
		} {
			config := &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: &testcert.Session{}, Certificates: []tls.Certificate{alice}}
			visit := func(name string) (told string, resumed bool) {
				config := config.Clone()
				config.ServerName = name
				conn, err := tls.Dial("tcp", f.tcp.Addr().String(), config)
				if err != nil {
					return "", false
				}
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name)
				r, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					return "", false
				}
				return r.Header.Get("X-Told"), conn.ConnectionState().DidResume
			}
			if told, _ := visit(test.from); !strings.HasPrefix(told, test.from) {
				t.Fatalf("%s: %q", test.from, told)
			}
			if told, resumed := visit(test.to); strings.TrimSpace(told) != strings.TrimSpace(test.told) || resumed != test.resumes {
				t.Errorf("%s, a ticket of %s for %s: resumed %t, the vassal is told %q; want %t, %q", tls.VersionName(version), test.from, test.to, resumed, told, test.resumes, test.told)
			}
		}
	}
}
