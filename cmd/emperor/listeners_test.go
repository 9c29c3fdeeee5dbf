package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"emperor/internal/testport"
)

// TestListenersOfOtherOptions: the main file's http-socket and http11-socket are
// listeners of the front like http; http-to-https redirects, http-stats tells; and
// what a reload changes about them is changed without a restart.
func TestListenersOfOtherOptions(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	second, third, plain, stats := testport.Free(t), testport.Free(t), testport.Free(t), m.path("stats.sock")
	main := strings.NewReplacer("SECOND", second, "THIRD", third, "PLAIN", plain, "STATS", stats).Replace(`[uwsgi]
http = 127.0.0.1:PORT
http-socket = 127.0.0.1:SECOND
http11-socket = 127.0.0.1:THIRD
http-to-https = 127.0.0.1:PLAIN,8443
http-stats = STATS
so-keepalive = true
route-host = ^served$ return:200
`)
	m.write("uwsgi.ini", strings.ReplaceAll(main, "return:200", "static:"+m.path("page")))
	m.write("page", "a page")
	m.start()
	m.waitLog(0, "listening", "127.0.0.1:"+plain)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(port string) *http.Response {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/x?y", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "served"
		r, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return r
	}
	for _, port := range []string{m.port, second, third} {
		if r := ask(port); r.StatusCode != 200 {
			t.Errorf("port %s: %s", port, r.Status)
		}
	}
	if r := ask(plain); r.StatusCode != 301 || r.Header.Get("Location") != "https://served:8443/x?y" {
		t.Errorf("http-to-https: %s %v", r.Status, r.Header)
	}
	conn, err := net.Dial("unix", stats)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	_ = conn.Close()
	var figures struct {
		HTTP     []string `json:"http"`
		Requests int      `json:"requests"`
	}
	if err == nil {
		err = json.Unmarshal(text, &figures)
	}
	if err != nil || figures.Requests != 4 || len(figures.HTTP) != 4 {
		t.Errorf("%v: %s", err, text)
	}

	mark := m.mark()
	m.write("uwsgi.ini", strings.NewReplacer(",8443", "", "http-stats = "+stats+"\n", "", "return:200", "static:"+m.path("page")).Replace(main))
	m.signal(syscall.SIGHUP)
	m.waitLog(mark, "the main file was applied")
	m.eventually("the redirect is to the port of https", func() bool { return ask(plain).Header.Get("Location") == "https://served/x?y" })
	m.eventually("nobody tells figures any more", func() bool {
		conn, err := net.Dial("unix", stats)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	m.stop()
	if _, err := os.Lstat(stats); err == nil {
		t.Error("the socket of http-stats is left behind")
	}
}
