package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// asked is a random request that every protocol can make.
type asked struct {
	method, url string // without its scheme
	fields      [][2]string
	body        []byte
	told        bool // the length of the body
}

func (a *asked) String() string {
	return fmt.Sprintf("%s %s %v, %d bytes, told: %v", a.method, a.url, a.fields, len(a.body), a.told)
}

// randomAsked leaves out what is answered by chance, and what a client of package
// net/http does not send: that is in randomRequest.
func randomAsked(r *rand.Rand, number int) *asked {
	one := func(words ...string) string { return words[r.IntN(len(words))] }
	a := &asked{method: one("GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"), told: r.IntN(2) == 0}
	host := one("uwsgi", "http", "fastcgi", "scgi", "secure", "uwsgi", "http", "fastcgi", "scgi", "secure", "named", "several", "dead", "redirect", "say", "break", "static", "file", "nobody", "auth", "shut", "unknown")
	a.url = host + "/" + one("200", "200", "200", "404", "410", "417", "500", "503", "204", "304", "chunks", "close", "etag", "demand", "hop", "encoded", "none", "torn", "large", "short", "hint", "reset", "empty", "moved") +
		"/" + itoa(number) + one("", "/%41%20b", "?", "?x=1&y=%20", "//x/../y")
	used := map[string]bool{}
	for range r.IntN(6) {
		name, value, _ := strings.Cut(one(
			"X-Want: var", "X-Want: note", "X-Want: header", "X-Want: head", "X-Want: path", "X-Want: uri", "X-Want: user", "X-Want: gzip", "X-Want: root", "X-Want: rewrite", "X-Want: after", "X-Want: final",
			"Accept-Encoding: gzip", "Accept-Encoding: zstd", "Accept: text/html", "Accept: application/json", "X-Forwarded-For: 192.0.2.9", "X-Forwarded-For: 198.51.100.7, 10.0.0.1", "X-Request-Id: given",
			"Cookie: a=b", "Cookie: a=b; c=d", "Referer: there", "Authorization: Basic am9lOnNlc2FtZQ==", "Range: bytes=5-9", "If-None-Match: *", "X_under: 1", "X-Long: "+strings.Repeat("x", r.IntN(6000))), ": ")
		if !used[name] { // the order of two of a name is not HTTP/2's to keep
			used[name] = true
			a.fields = append(a.fields, [2]string{name, value})
		}
	}
	if a.method != "HEAD" && (a.method != "GET" || r.IntN(10) == 0) {
		a.body = pattern(r.IntN([]int{3, 100, 5000, 100_000, 200_000}[r.IntN(5)]))
	}
	return a
}

// ask makes the request, and says all that came back in a form in which the ways
// should not differ.
func (a *asked) ask(t *testing.T, client *http.Client, scheme string) string {
	t.Helper()
	var body io.Reader
	if a.body != nil {
		body = strings.NewReader(string(a.body))
		if !a.told && len(a.body) > 0 { // of none at all, Go's client says so or not, as the time may be
			body = io.MultiReader(body)
		}
	}
	r, err := http.NewRequest(a.method, scheme+"://"+a.url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["User-Agent"] = []string{"me"}
	for _, f := range a.fields {
		r.Header[f[0]] = []string{f[1]}
	}
	r.GetBody = nil
	response, err := client.Do(r)
	if err != nil {
		if text := err.Error(); !errors.Is(err, io.EOF) && !strings.Contains(text, "reset") && !strings.Contains(text, "malformed") && !strings.Contains(text, "stream error") && !strings.Contains(text, "closed") {
			t.Fatalf("%v: %v", a, err)
		}
		return "no answer"
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && len(text) > 0 {
		text, err = decoded(response.Header.Get("Content-Encoding"), text)
	}
	if err != nil {
		return fmt.Sprint(response.StatusCode, " breaks off")
	}
	var lines []string
	for name, values := range response.Header {
		if name != "Content-Length" && name != "Connection" { // framing
			lines = append(lines, changing.ReplaceAllString(fmt.Sprintf("%s: %q", name, values), "*"))
		}
	}
	slices.Sort(lines)
	told := strings.Split(changing.ReplaceAllString(string(text), "*"), "\n")
	for i, line := range told {
		told[i] = strings.TrimSuffix(line, "\r")
	}
	told = slices.DeleteFunc(told, ofTheWay.MatchString)
	slices.Sort(told) // fields have no order in HTTP/2
	return fmt.Sprint(response.StatusCode, "\n", strings.Join(lines, "\n"), "\n\n", strings.Join(slices.Compact(told), "\n"))
}

// ofTheWay is what a vassal is told of the way itself.
var ofTheWay = regexp.MustCompile(`^((SERVER_PROTOCOL|HTTPS\w*|REQUEST_SCHEME|HTTP_X_FORWARDED_PROTO)=|(?i)x-forwarded-proto:|$)`)

// TestEveryWayAnswersTheSame: a request gets the same answer over HTTP/1.1, in clear
// and over TLS, and HTTP/2, on a connection that was used for others before and on
// one of its own; and a vassal of any kind is told the same.
func TestEveryWayAnswersTheSame(t *testing.T) {
	mirrors := newMirrors(t)
	plain, secured := mirrors.front(t), mirrors.front(t)
	secured.secured(mirrors.options...)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SEED"); s != "" {
		_, _ = fmt.Sscan(s, &seed)
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	type way struct {
		name, scheme string
		kept         *http.Client
		fresh        func() *http.Client
	}
	all := []way{{name: "HTTP/1.1 in clear", scheme: "http", fresh: func() *http.Client { return secureClient(plain, func(p *http.Protocols) { p.SetHTTP1(true) }) }}}
	for _, w := range ways {
		f := plain
		if w.scheme == "https" {
			f = secured
		}
		all = append(all, way{name: w.name, scheme: w.scheme, fresh: func() *http.Client { return secureClient(f, w.protocols) }})
	}
	for i := range all {
		all[i].kept = all[i].fresh()
		all[i].kept.Transport.(*http.Transport).MaxConnsPerHost = 1
	}
	for n := range 40 {
		a := randomAsked(random, n)
		want := ""
		for _, w := range all {
			client := w.fresh()
			client.Transport.(*http.Transport).DisableKeepAlives = true
			fresh := a.ask(t, client, w.scheme)
			if want == "" {
				want = fresh
			}
			if fresh != want {
				t.Fatalf("request %d: %v\n%s, fresh: %s\n\n%s: %s", n, a, w.name, cut(fresh), all[0].name, cut(want))
			}
			if kept := a.ask(t, w.kept, w.scheme); kept != want {
				t.Fatalf("request %d: %v\n%s, kept: %s\n\n%s, fresh: %s", n, a, w.name, cut(kept), all[0].name, cut(want))
			}
		}
	}
	for _, f := range []*front{plain, secured} {
		f.wantIdle(t)
		eventually(t, "connections to end", func() bool {
			for _, w := range all {
				w.kept.CloseIdleConnections()
			}
			return f.Count().Connections == 0
		})
		f.wantExchangesClean(t)
	}
}

// TestEarlyHintsByEveryWay: they reach the client before the response is begun.
func TestEarlyHintsByEveryWay(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			both(t, func(c *call) {
				c.readBody()
				c.hangUp = true
				c.say("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
				if c.vars["HTTP_X_WAIT"] == "" && c.vars["X-Wait"] == "" {
					c.say(okResponse)
					return
				}
				_, _ = c.in.ReadByte() // until the client goes
			}, func(t *testing.T, f *front, v *vassal) {
				if way.scheme == "https" {
					f.secured("route-run = vassal:v")
				}
				client := secureClient(f, way.protocols)
				for _, wait := range []string{"", "1"} {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					hinted := ""
					trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
						hinted = fmt.Sprint(code, " ", header.Get("Link"))
						if wait != "" {
							cancel()
						}
						return nil
					}}
					r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, way.scheme+"://a/", nil)
					if err != nil {
						t.Fatal(err)
					}
					r.Header["X-Wait"] = []string{wait}
					response, err := client.Do(r)
					if (err == nil) != (wait == "") || hinted != "103 </a.css>; rel=preload" {
						t.Errorf("wait %q: %v, %q", wait, err, hinted)
					}
					if err == nil {
						if text, err := io.ReadAll(response.Body); string(text) != "ok" || err != nil {
							t.Errorf("%q, %v", text, err)
						}
						_ = response.Body.Close()
					}
					cancel()
				}
			})
		})
	}
}
