package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// full is an entry of which everything is known.
func full() *Entry {
	return &Entry{
		Time:     time.Date(2026, 11, 21, 14, 31, 45, 657_288_000, time.FixedZone("", 3600)),
		Duration: 172_345 * time.Microsecond,
		Client:   netip.MustParseAddr("203.0.113.7"), Peer: netip.MustParseAddrPort("[::ffff:10.0.0.1]:51000"), User: []byte("bob"),
		Scheme: "https", Method: []byte("GET"), Target: []byte("/a%20b?q=1&r=2"), Protocol: "HTTP/1.1",
		Host: []byte("shop.example.com"), Referer: []byte("https://example.com/"), UserAgent: []byte("curl/7.88.1"), RequestID: []byte("r1"),
		Status: 200, ReceivedBody: 3, Sent: 50, SentHead: 45,
		Vassal: "shop.ini", Generation: 4, RuleFile: "main.ini", RuleLine: 12, Upstream: "/run/shop.sock", Retries: 1,
		Held: 2 * time.Second, Connect: 50 * time.Microsecond, FirstByte: 1500 * time.Microsecond, Exchange: 170 * time.Millisecond,
		TLS: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", SNI: []byte("shop.example.com"), Ended: Truncated,
		Variables: variables{"HTTP_COOKIE": "a=b"},
	}
}

type variables map[string]string

func (v variables) Variable(name string) []byte { return []byte(v[name]) }

func compile(t testing.TB, text string) *Format {
	t.Helper()
	f, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAppend(t *testing.T) {
	nothing := &Entry{Time: full().Time}
	// A head that could not be read, over a unix socket.
	refused := &Entry{Time: full().Time, Status: 400, Sent: 30, SentHead: 20, Ended: BadRequest}
	for _, test := range []struct {
		format string
		entry  *Entry
		want   string
	}{
		{"common", full(), `203.0.113.7 - bob [21/Nov/2026:14:31:45 +0100] "GET /a%20b?q=1&r=2 HTTP/1.1" 200 5`},
		{"common", refused, `- - - [21/Nov/2026:14:31:45 +0100] "-" 400 10`},
		{"combined", full(), `203.0.113.7 - bob [21/Nov/2026:14:31:45 +0100] "GET /a%20b?q=1&r=2 HTTP/1.1" 200 5 "https://example.com/" "curl/7.88.1"`},
		{"json", full(), `{"time":"2026-11-21T14:31:45.657+01:00","client":"203.0.113.7","peer":"10.0.0.1","user":"bob","scheme":"https",` +
			`"host":"shop.example.com","method":"GET","uri":"/a%20b?q=1&r=2","proto":"HTTP/1.1","status":200,"bytes_received":3,"bytes_sent":50,` +
			`"body_bytes_sent":5,"duration_ms":172.345,"held_ms":2000.000,"vassal":"shop.ini","generation":4,"rule":"main.ini:12",` +
			`"upstream":"/run/shop.sock","upstream_connect_ms":0.050,"upstream_first_byte_ms":1.500,"upstream_ms":170.000,"retries":1,` +
			`"request_id":"r1","referer":"https://example.com/","user_agent":"curl/7.88.1","tls":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256",` +
			`"sni":"shop.example.com","ended":"truncated"}`},
		{"json", nothing, `{"time":"2026-11-21T14:31:45.657+01:00","bytes_received":0,"bytes_sent":0,"body_bytes_sent":0,"duration_ms":0.000}`},

		// As uWSGI 2.0.21 writes them.
		{"%(addr) %(user) %(method) %(uri) %(proto) %(status) %(size) %(rsize) %(hsize) %(cl)", full(), "203.0.113.7 bob GET /a%20b?q=1&r=2 HTTP/1.1 200 50 5 45 3"},
		{"%(msecs) %(micros) %(secs)", full(), "172 172345 0.172345"},
		{"%(time) %(tmsecs) %(tmicros) %(epoch)", full(), "1795267905 1795267905657 1795267905657288 1795267905"},
		{"%(ctime)|%(ltime)|%(ftime)", full(), "Sat Nov 21 14:31:45 2026|21/Nov/2026:14:31:45 +0100|21/Nov/2026:14:31:45 +0100"},
		{"%(host) %(uagent) %(referer) %(pid)", full(), fmt.Sprint("shop.example.com curl/7.88.1 https://example.com/ ", os.Getpid())},
		{"%(var.HTTP_COOKIE) %(var.OTHER)", full(), "a=b -"},
		{"%(var.HTTP_COOKIE)", nothing, "-"},

		{"%(iso) %(peer) %(port) %(scheme) %(path) %(query) %(rid)", full(), "2026-11-21T14:31:45.657+01:00 10.0.0.1 51000 https /a%20b q=1&r=2 r1"},
		{"%(vassal) %(generation) %(rule) %(upstream) %(retries) %(ended)", full(), "shop.ini 4 main.ini:12 /run/shop.sock 1 truncated"},
		{"%(held-msecs) %(connect-micros) %(first-byte-secs) %(upstream-msecs)", full(), "2000 50 0.001500 170"},
		{"%(tls) %(cipher) %(sni)", full(), "TLSv1.3 TLS_AES_128_GCM_SHA256 shop.example.com"},
		{"%(addr) %(port) %(user) %(status) %(upstream) %(upstream-secs) %(first-byte-msecs) %(generation) %(request) %(rule) %(query)", nothing, "- - - - - - - - - - -"},
		{"%(held-micros) %(retries) %(size) %(micros)", nothing, "0 0 0 0"},
		{"100% %(status)%", full(), "100% 200%"},
		{`{"a":"%(addr)","s":%(status),"u":%(upstream-msecs),"q":"\"%(query)","n":"%(status)"}`, nothing, `{"a":"","s":null,"u":null,"q":"\"","n":""}`},
	} {
		if got := string(compile(t, test.format).Append([]byte("before "), test.entry)); got != "before "+test.want+"\n" {
			t.Errorf("%s:\ngot  %swant before %s", test.format, got, test.want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, test := range []struct{ format, want string }{
		{"%(addr) %(stauts)", "at character 9: there is no %(stauts); did you mean %(status)?"},
		{"%(addr) %(everything)", "at character 9: there is no %(everything); see the list"},
		{"x %(addr", `at character 3: "%(" without ")"`},
		{"%(addr) %(wid)", "at character 9: %(wid) is known only inside a uWSGI worker"},
		{"%(metric.foo)", "at character 1: %(metric.foo) is known only inside a uWSGI worker"},
		{"%(var.)", "at character 1: %(var.) wants a variable's name"},
		{"%()", "at character 1: there is no %()"},
		{"%(addr)\n%(uri)", "at character 8: a control character"},
		{`{"a":"%(addr)","u":%(uri)}`, `at character 20: %(uri) is text, which in JSON stands in quotes: "%(uri)"`},
		{"Combined", "at character 1: want common, combined, json or a template"},
		{"", "at character 1: want common, combined, json or a template"},
	} {
		_, err := Compile(test.format)
		var place *Error
		if !errors.As(err, &place) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.format, err, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	var seen []string
	unknown := map[field]bool{}
	for _, n := range Names() {
		seen = append(seen, n.Name)
		line := string(compile(t, "%("+n.Name+")").Append(nil, full()))
		if line == "-\n" || line == "\n" || n.Help == "" {
			t.Errorf("%%(%s) is %q, of an entry that has everything (%q)", n.Name, line, n.Help)
		}
		unknown[byName[n.Name]] = true
	}
	if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
		t.Errorf("not in order, or not once each: %v", seen)
	}
	for f := range fieldVariable {
		if f != lastQuantity && f != lastPlain && f != lastWord && !unknown[f] {
			t.Errorf("field %d has no name", f)
		}
	}
}

// hostile is what a visitor may try: to end a line, to end a quoted value, to look
// like another column, to steer a terminal, to be no text at all.
const hostile = "a\r\nb\x00\"c\\d\x1b[2J\x7f\xff\xc3\xa9\u0085\u2028 e\xe2\x80"

func TestEscaping(t *testing.T) {
	e := full()
	e.User, e.UserAgent, e.Target = []byte(hostile), []byte(hostile), []byte(hostile)
	const plain = `a\x0d\x0ab\x00\x22c\x5cd\x1b[2J\x7f\xff\xc3\xa9\xc2\x85\xe2\x80\xa8`
	if got, want := string(compile(t, `%(user) "%(uagent)"`).Append(nil, e)), plain+`\x20e\xe2\x80 "`+plain+` e\xe2\x80"`+"\n"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	const inJSON = `a\u000d\u000ab\u0000\"c\\d\u001b[2J\u007f\ufffdé\u0085\u2028 e\ufffd\ufffd`
	if got, want := string(compile(t, `{"ua":"%(uagent)"}`).Append(nil, e)), `{"ua":"`+inJSON+"\"}\n"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(compile(t, "json").Append(nil, e)); !strings.Contains(got, `"user_agent":"`+inJSON+`"`) {
		t.Error(got)
	}
	e.UserAgent = bytes.Repeat([]byte("x"), 5000)
	if got := string(compile(t, "%(uagent)").Append(nil, e)); got != strings.Repeat("x", 4096)+"...\n" {
		t.Errorf("a value of 5000 bytes makes a line of %d", len(got))
	}
}

// FuzzAppend: whatever a visitor sends, an entry is one line with its columns, and
// valid JSON with its members.
func FuzzAppend(f *testing.F) {
	f.Add([]byte(hostile))
	f.Add([]byte("plain text"))
	f.Add([]byte("\xed\xa0\x80\xf4\x90\x80\x80\u2029\U0001f600"))
	combined, js, template := compile(f, "combined"), compile(f, "json"), compile(f, `{"ua":"%(uagent)","var":"%(var.x)"}`)
	columns := regexp.MustCompile(`^203\.0\.113\.7 - [!-~]+ \[[^]]+\] "[ -!#-~]+" 200 5 "[ -!#-~]*" "[ -!#-~]*"\n$`)
	f.Fuzz(func(t *testing.T, text []byte) {
		e := full()
		e.User, e.Target, e.Host, e.Referer, e.UserAgent, e.RequestID, e.SNI = text, text, text, text, text, text, text
		e.Vassal, e.RuleFile, e.Upstream = string(text), string(text), string(text)
		e.Variables = variables{"x": string(text)}
		if line := combined.Append(nil, e); !columns.Match(line) {
			t.Errorf("%q", line)
		}
		for _, format := range []*Format{js, template} {
			line := format.Append(nil, e)
			var object map[string]any
			if err := json.Unmarshal(line, &object); err != nil || !utf8.Valid(line) || bytes.IndexByte(line, '\n') != len(line)-1 {
				t.Fatalf("%v: %q", err, line)
			}
			if got, ok := object["user_agent"]; ok && len(text) <= mostText && got != strings.ToValidUTF8(string(text), "\ufffd") && utf8.Valid(text) {
				t.Errorf("%q became %q", text, got)
			}
		}
	})
}

// TestStamp: the text that is kept is that of its second and its zone.
func TestStamp(t *testing.T) {
	zones := []*time.Location{time.UTC, time.FixedZone("a", 3600), time.FixedZone("b", -5400)}
	now := time.Now()
	for i := range 3000 {
		at := now.Add(time.Duration(i*i%7000-3000) * time.Millisecond).In(zones[i/100%3])
		e := &Entry{Time: at}
		ltime := at.Format("02/Jan/2006:15:04:05 -0700") + "\n"
		iso := at.Format("2006-01-02T15:04:05.000Z07:00") + "\n"
		if got := string(compile(t, "%(ltime)").Append(nil, e)); got != ltime {
			t.Fatalf("%q, want %q", got, ltime)
		}
		if got := string(compile(t, "%(iso)").Append(nil, e)); got != iso {
			t.Fatalf("%q, want %q", got, iso)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	for _, format := range []string{"common", "combined", "json", "%(ltime) %(rule) %(upstream-secs)", `{"ua":"%(uagent)"}`} {
		f := compile(t, format)
		line := make([]byte, 0, 4096)
		user, agent := []byte("bob"), []byte("Mozilla/5.0 \xc3\xa9 \xff")
		now := time.Now()
		if n := testing.AllocsPerRun(100, func() {
			e := Entry{Time: now, User: user, UserAgent: agent, Upstream: "/run/a.sock", RuleFile: "a.ini", RuleLine: 3, Status: 200}
			line = f.Append(line[:0], &e)
		}); n != 0 {
			t.Errorf("%s: %v allocations", format, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, format := range []string{"common", "combined", "json", "%(addr) %(vassal) %(upstream-micros) %(rid)"} {
		b.Run(format, func(b *testing.B) {
			f := compile(b, format)
			e := full()
			e.Time = time.Now()
			e.UserAgent = []byte("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
			line := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				line = f.Append(line[:0], e)
			}
			b.SetBytes(int64(len(line)))
		})
	}
}
