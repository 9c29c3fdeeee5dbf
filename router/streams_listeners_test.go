package router

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"emperor/internal/testcert"
)

// chat is a connection on which a conversation goes to and fro, line by line: the
// server greets first.
type chat struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// greeted waits for the server's greeting before it says anything.
func greeted(t testing.TB, conn net.Conn, greeting string) *chat {
	t.Helper()
	s := &chat{conn, t, bufio.NewReader(conn)}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if line, err := s.r.ReadString('\n'); line != greeting+"\n" || err != nil {
		t.Fatalf("the greeting is %q, %v; want %q", line, err, greeting)
	}
	return s
}

// exchange says something and waits for the answer.
func (s *chat) exchange(words string) {
	s.t.Helper()
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(s, words); err != nil {
		s.t.Fatalf("%s: %v", words, err)
	}
	if line, err := s.r.ReadString('\n'); line != words+"\n" || err != nil {
		s.t.Fatalf("%s was answered by %q, %v", words, line, err)
	}
}

// overTLS connects to an address as a client that asks for the name.
func overTLS(t testing.TB, address, name string, session tls.ClientSessionCache) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true, ClientSessionCache: session})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// issuedTo is whom the certificate is for that the other side shows.
func issuedTo(conn *tls.Conn) string { return conn.ConnectionState().PeerCertificates[0].DNSNames[0] }

// TestStreamsByEveryListener: https2 and sslrouter2 are what https and sslrouter are, in
// another spelling. Each of a conversation's many messages arrives, in both directions,
// where TLS ends here as where it does not (uWSGI's sslrouter dies at the second).
func TestStreamsByEveryListener(t *testing.T) {
	passed := serveBehind(t, []string{"passed.test"}, parrot("passed"))
	plain := serveBehind(t, nil, parrot("plain"))
	rest := serveBehind(t, nil, parrot("rest"))
	f := newFront(t)
	path := t.TempDir() + "/front"
	pair := testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}})
	pair.Put(t, path)
	https, https2 := f.listen(optionHTTPS, "127.0.0.1:0").String(), f.listen(optionHTTPS2, "127.0.0.1:0").String()
	ssl, ssl2 := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionSSLRouter2, "127.0.0.1:0").String()
	bare2 := f.listen(optionSSLRouter2, "127.0.0.1:0").String() // without a certificate
	options := []string{
		"https = " + https + "," + path + ".crt," + path + ".key",
		"https2 = addr=" + https2 + ",cert=" + path + ".crt,key=" + path + ".key",
		"sslrouter = " + ssl + "," + path + ".crt," + path + ".key",
		"sslrouter2 = addr=" + ssl2 + ",cert=" + path + ".crt,key=" + path + ".key",
		"sslrouter2 = addr=" + bare2,
		"route-sni = passed.test pass:" + passed.Addr().String(),
		"route-sni = plain.test tcp:" + plain.Addr().String(),
		"route-sni = no.test reject",
		"sslrouter-to = " + rest.Addr().String(),
		"stream-default = " + rest.Addr().String(),
		"route-run = return:204",
	}
	if err := f.configure(options...); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{https, https2, ssl, ssl2} {
		for name, want := range map[string]struct{ certificate, greeting string }{
			"passed.test": {"passed.test", "passed"},
			"plain.test":  {"front.test", "plain"},
		} {
			conn := overTLS(t, address, name, nil)
			s := greeted(t, conn, want.greeting)
			for i := range 5 {
				s.exchange(fmt.Sprintf("%s, message %d", name, i))
			}
			if got := issuedTo(conn); got != want.certificate {
				t.Errorf("%s: %s shows a certificate for %s", address, name, got)
			}
		}
		if _, err := tls.Dial("tcp", address, &tls.Config{ServerName: "no.test", InsecureSkipVerify: true}); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: who is rejected sees %v", address, err)
		}
		raw, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(raw, "SSH-2.0-client\n"); err != nil {
			t.Fatal(err)
		}
		s := greeted(t, raw, "rest")
		if line, err := s.r.ReadString('\n'); line != "SSH-2.0-client\n" || err != nil {
			t.Errorf("%s: no TLS: %q, %v", address, line, err)
		}
		s.exchange("once more")
	}
	for _, address := range []string{https, https2} {
		if got := talk(t, overTLS(t, address, "front.test", nil), "GET / HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
			t.Errorf("%s: a site: %q", address, got)
		}
	}
	for _, address := range []string{ssl, ssl2} { // no rule has it: sslrouter-to, and TLS ends here
		s := greeted(t, overTLS(t, address, "front.test", nil), "rest")
		for i := range 5 {
			s.exchange(fmt.Sprintf("to the rest, message %d", i))
		}
	}
	// Without a certificate nothing can be decrypted: rules of pass: are for it.
	conn := overTLS(t, bare2, "passed.test", nil)
	s := greeted(t, conn, "passed")
	s.exchange("one")
	s.exchange("two")
	if got := issuedTo(conn); got != "passed.test" {
		t.Errorf("without a certificate of its own sslrouter2 shows one for %s", got)
	}
}

// TestSilenceOfListeners: sslrouter-timeout and rawrouter-timeout are how long streams of
// those listeners may be silent, whatever stream-timeout says for others, and what a line
// says for its own counts before both.
func TestSilenceOfListeners(t *testing.T) {
	ends := make(chan struct{}, 10)
	plain := serveBehind(t, nil, func(conn net.Conn) {
		parrot("plain")(conn)
		ends <- struct{}{}
	})
	f := newFront(t)
	path := t.TempDir() + "/front"
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}}).Put(t, path)
	https := f.listen(optionHTTPS, "127.0.0.1:0").String()
	ssl, ssl2 := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionSSLRouter2, "127.0.0.1:0").String()
	raw := f.listen(optionRawRouter, "127.0.0.1:0").String()
	configure := func(more ...string) {
		t.Helper()
		if err := f.configure(append(more,
			"https = "+https+","+path+".crt,"+path+".key",
			"sslrouter = "+ssl+","+path+".crt,"+path+".key",
			"sslrouter2 = addr="+ssl2+",cert="+path+".crt,key="+path+".key",
			"rawrouter = "+raw,
			"route-sni = plain.test tcp:"+plain.Addr().String(),
			"route-sni = patient.test tcp:"+plain.Addr().String()+",timeout=600",
			"sslrouter-to = "+plain.Addr().String(),
			"rawrouter-to = "+plain.Addr().String())...); err != nil {
			t.Fatal(err)
		}
	}
	open := func(name string) net.Conn {
		t.Helper()
		where, asked, _ := strings.Cut(name, " ")
		address := map[string]string{"https": https, "sslrouter": ssl, "sslrouter2": ssl2, "rawrouter": raw}[where]
		if asked != "" {
			return overTLS(t, address, asked, nil)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	for _, test := range []struct {
		options     []string
		short, long []string
	}{
		{[]string{"stream-timeout = 600", "sslrouter-timeout = 1", "rawrouter-timeout = 1"},
			[]string{"sslrouter front.test", "sslrouter plain.test", "sslrouter2 front.test", "sslrouter2 plain.test", "rawrouter"},
			[]string{"https plain.test", "sslrouter patient.test", "sslrouter2 patient.test"}},
		{[]string{"stream-timeout = 1", "sslrouter-timeout = 600"},
			[]string{"https plain.test", "rawrouter"},
			[]string{"https patient.test", "sslrouter front.test", "sslrouter2 plain.test"}},
		{[]string{"stream-timeout = 1", "rawrouter-timeout = 600"}, []string{"sslrouter front.test"}, []string{"rawrouter"}},
	} {
		configure(test.options...)
		var patient []*chat // whose silence begins before that of the others
		for _, name := range test.long {
			patient = append(patient, greeted(t, open(name), "plain"))
		}
		silent := map[string]net.Conn{}
		for _, name := range test.short {
			silent[name] = open(name)
		}
		for name, conn := range silent {
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.ReadAll(conn); isTimeout(err) {
				t.Errorf("%q: %s has no end", test.options, name)
			}
			<-ends // nor is the server kept
		}
		for i, s := range patient {
			s.exchange("still there: " + test.long[i])
			_ = s.Close()
			<-ends
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// TestStreamDefaults: what holds for streams where nobody says anything, and where
// somebody does: the article on streams by name connects within a second.
func TestStreamDefaults(t *testing.T) {
	s, problems := compiled(t, "sslrouter = :1", "sslrouter2 = addr=:2", "rawrouter = :3", "rawrouter-to = 10.0.0.1:1", "sslrouter-to = 10.0.0.1:1")
	if problems != "" {
		t.Fatal(problems)
	}
	got := []time.Duration{s.streams.connect, s.streams.hello, s.streams.check, s.streams.idle}
	for _, option := range []string{optionHTTPS, optionHTTPS2, optionSSLRouter, optionSSLRouter2, optionRawRouter} {
		got = append(got, s.streams.idleTime(option))
	}
	minutes := 10 * time.Minute
	if want := fmt.Sprint([]time.Duration{3 * time.Second, 5 * time.Second, 0, minutes, minutes, minutes, minutes, minutes, minutes}); fmt.Sprint(got) != want || s.streams.most != 0 {
		t.Errorf("connect, hello, check, silence: %v, want %s; at most %d", got, want, s.streams.most)
	}
	s, problems = compiled(t, "sslrouter = :1", "sslrouter-to = 10.0.0.1:1", "stream-connect-timeout = 1", "sni-timeout = 7", "stream-check = 2", "stream-timeout = 600", "stream-drain = 30", "stream-connections = 9")
	if problems != "" {
		t.Fatal(problems)
	}
	got = []time.Duration{s.streams.connect, s.streams.hello, s.streams.check, s.streams.idleTime(optionSSLRouter), s.streams.drain}
	if want := fmt.Sprint([]time.Duration{time.Second, 7 * time.Second, 2 * time.Second, minutes, 30 * time.Second}); fmt.Sprint(got) != want || s.streams.most != 9 {
		t.Errorf("connect, hello, check, silence, drain: %v, want %s; at most %d", got, want, s.streams.most)
	}
}

// TestSessionsOfSSLRouters: a TLS session goes on at another listener, unless its
// sslrouter-session-context is another. https lines have their own.
func TestSessionsOfSSLRouters(t *testing.T) {
	plain := serveBehind(t, nil, parrot("plain"))
	f := newFront(t)
	path := t.TempDir() + "/front"
	testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}}).Put(t, path)
	pair := path + ".crt," + path + ".key"
	first, same := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionSSLRouter2, "127.0.0.1:0").String()
	apart, back := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionSSLRouter, "127.0.0.1:0").String()
	https := f.listen(optionHTTPS, "127.0.0.1:0").String()
	if err := f.configure("sslrouter-to = "+plain.Addr().String(), "route-sni = front.test tcp:"+plain.Addr().String(),
		"sslrouter-session-context = one",
		"sslrouter = "+first+","+pair,
		"sslrouter2 = addr="+same+",cert="+path+".crt,key="+path+".key",
		"sslrouter-session-context = two",
		"sslrouter = "+apart+","+pair,
		"https-session-context = three",
		"sslrouter-session-context = one",
		"sslrouter = "+back+","+pair,
		"https = "+https+","+pair); err != nil {
		t.Fatal(err)
	}
	resumes := func(address string, session tls.ClientSessionCache) bool {
		t.Helper()
		conn := overTLS(t, address, "front.test", session)
		greeted(t, conn, "plain") // behind which the ticket has come
		return conn.ConnectionState().DidResume
	}
	for _, test := range []struct {
		from, to string
		want     bool
	}{{first, first, true}, {first, same, true}, {first, back, true}, {first, apart, false}, {apart, first, false}, {first, https, false}, {https, https, true}} {
		session := testcert.SessionOf(nil)
		if resumes(test.from, session) {
			t.Fatal("there was no session")
		}
		if got := resumes(test.to, session); got != test.want {
			t.Errorf("a session of %s goes on at %s: %t, want %t (sslrouters %s, %s; %s; %s; https %s)", test.from, test.to, got, test.want, first, same, apart, back, https)
		}
	}
}

// TestSessionContexts: what one kind of listener says of its sessions is nothing to the
// other.
func TestSessionContexts(t *testing.T) {
	s, problems := compiled(t, "sslrouter-to = 10.0.0.1:1", "sslrouter-session-context = streams", "https = :1,/c,/k", "sslrouter = :2,/c,/k", "https-session-context = sites", "sslrouter2 = addr=:3,cert=/c,key=/k", "https2 = addr=:4,cert=/c,key=/k")
	if problems != "" {
		t.Error(problems)
	}
	want := map[string]string{":1": "", ":2": "streams", ":3": "streams", ":4": "sites"}
	for _, l := range s.certificates.https {
		if got := l.options.SessionContext; got != want[l.address] {
			t.Errorf("%s: %q, want %q", l.address, got, want[l.address])
		}
	}
}
