package router

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"emperor/internal/testcert"
	"emperor/router/proxyproto"
)

// TestStreamsThroughProxies: on every listener of streams, who comes through a proxy that
// may say so is whom its PROXY header names, before TLS, after which bytes go untouched
// or decrypted, and without any. What anybody else sends is not read as a header.
func TestStreamsThroughProxies(t *testing.T) {
	passed := serveBehind(t, []string{"passed.test"}, parrot("passed"))
	plain := serveBehind(t, nil, parrot("plain"))
	f := newFront(t)
	files := t.TempDir()
	pair := testcert.SelfSigned(t, testcert.Wanted{Names: []string{"front.test"}})
	pair.Put(t, files+"/front")
	https, https2 := f.listen(optionHTTPS, "127.0.0.1:0").String(), f.listen(optionHTTPS2, "127.0.0.1:0").String()
	ssl, ssl2 := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionSSLRouter2, "127.0.0.1:0").String()
	bare, raw := f.listen(optionSSLRouter, "127.0.0.1:0").String(), f.listen(optionRawRouter, "127.0.0.1:0").String()
	own := files + "/front.crt," + files + "/front.key"
	named := ",cert=" + files + "/front.crt,key=" + files + "/front.key"
	if err := f.configure("https = "+https+","+own, "https2 = addr="+https2+named, "sslrouter = "+ssl+","+own, "sslrouter2 = addr="+ssl2+named,
		"sslrouter = "+bare, "rawrouter = "+raw,
		"http-enable-proxy-protocol = true", "http-proxy-protocol-from = 127.0.0.7",
		"route-sni = passed.test pass:"+passed.Addr().String(), "route-sni = plain.test tcp:"+plain.Addr().String(), "rawrouter-to = "+plain.Addr().String(),
		"stream-log = "+files+"/streams.log", "stream-log-format = json"); err != nil {
		t.Fatal(err)
	}
	dial := func(from, address string) net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	// The listeners where somebody came, by whom the log names.
	came := func() map[string]string {
		text, _ := os.ReadFile(files + "/streams.log")
		all := map[string]string{}
		for row := range strings.Lines(string(text)) {
			var e struct{ Client, Listener string }
			if err := json.Unmarshal([]byte(row), &e); err != nil {
				t.Fatalf("%q: %v", row, err)
			}
			all[e.Client] = e.Listener
		}
		return all
	}
	want := map[string]string{}
	for _, to := range []struct{ address, name string }{
		{https, "passed.test"}, {https, "plain.test"}, {https2, "passed.test"}, {https2, "plain.test"},
		{ssl, "passed.test"}, {ssl, "plain.test"}, {ssl2, "passed.test"}, {ssl2, "plain.test"},
		{bare, "passed.test"}, {raw, ""},
	} {
		for version := 1; version <= 2; version++ {
			visitor := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), uint16(1000+len(want)))
			header := []byte(fmt.Sprintf("PROXY TCP4 192.0.2.9 198.51.100.1 %d 443\r\n", visitor.Port()))
			if version == 2 {
				var err error
				if header, err = (&proxyproto.Header{Source: visitor, Destination: netip.MustParseAddrPort("198.51.100.1:443"), Version: 2}).AppendV2(nil, false); err != nil {
					t.Fatal(err)
				}
			}
			conn := dial("127.0.0.7", to.address)
			if _, err := conn.Write(header); err != nil {
				t.Fatal(err)
			}
			answer := "plain\nhello"
			if to.name != "" {
				conn = tls.Client(conn, &tls.Config{ServerName: to.name, InsecureSkipVerify: true})
				answer = strings.TrimSuffix(to.name, ".test") + "\nhello"
			}
			if got := talk(t, conn, "hello"); got != answer {
				t.Errorf("%s, %q, version %d: %q", to.address, to.name, version, got)
			}
			_ = conn.Close()
			want[visitor.String()] = to.address
		}
	}
	stranger := dial("127.0.0.1", raw)
	const header = "PROXY TCP4 192.0.2.66 198.51.100.1 4242 443\r\n"
	if got := talk(t, stranger, header); got != "plain\n"+header {
		t.Errorf("what is no header: %q", got)
	}
	want[stranger.LocalAddr().String()] = raw
	_ = stranger.Close()
	liar := dial("127.0.0.1", bare)
	if _, err := io.WriteString(liar, header); err != nil {
		t.Fatal(err)
	}
	if got := talk(t, tls.Client(liar, &tls.Config{ServerName: "passed.test", InsecureSkipVerify: true}), "hello"); strings.Contains(got, "passed") {
		t.Errorf("a header of anybody is taken: %q", got)
	}
	eventually(t, "a line for each", func() bool { return len(came()) >= len(want) })
	if got := came(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
