package errorpage

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func host(t testing.TB, text string) Host {
	t.Helper()
	h, err := ParseHost(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// page makes a page from the value of the option; its content is given after " = ".
func page(t testing.TB, option string) Page {
	t.Helper()
	option, content, _ := strings.Cut(option, " = ")
	s, file, err := ParseOption(option)
	if err != nil {
		t.Fatal(err)
	}
	return Page{s, []byte(content), file}
}

func compile(t testing.TB, options ...string) *Pages {
	t.Helper()
	var pages []Page
	for _, o := range options {
		pages = append(pages, page(t, o))
	}
	p, err := Compile(pages)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	axios   = "application/json, text/plain, */*"
	curl    = "*/*"
)

func TestBuiltIn(t *testing.T) {
	answer := Answer{Status: 502, Host: []byte("shop.example.com"), RequestID: []byte("r1"), Text: "this site does not answer"}
	for _, test := range []struct{ accept, contentType, want string }{
		{"", "text/plain; charset=utf-8", "this site does not answer\n"},
		{curl, "text/plain; charset=utf-8", "this site does not answer\n"},
		{"image/*", "text/plain; charset=utf-8", "this site does not answer\n"},
		{axios, "application/json", `{"status":502,"title":"Bad Gateway","detail":"this site does not answer","request_id":"r1"}` + "\n"},
	} {
		answer.Accept = []byte(test.accept)
		body, contentType := (*Pages)(nil).Append([]byte("x"), &answer)
		if string(body) != "x"+test.want || contentType != test.contentType {
			t.Errorf("%q: %s, %q", test.accept, contentType, body)
		}
	}
	answer.Accept = []byte(browser)
	body, contentType := (&Pages{}).Append(nil, &answer)
	if contentType != "text/html; charset=utf-8" {
		t.Error(contentType)
	}
	for _, want := range []string{
		"<title>502 Bad Gateway</title>", "<h1>This site does not answer</h1>", "<p>Please try again in a moment.</p>",
		"<footer>shop.example.com · request r1</footer>", `<meta name="robots" content="noindex">`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page lacks %s:\n%s", want, body)
		}
	}
	for _, unwanted := range []string{"refresh", "<script", "http://", "https://", "src="} {
		if strings.Contains(string(body), unwanted) {
			t.Errorf("the page has %s", unwanted)
		}
	}
}

func TestBuiltInAdvice(t *testing.T) {
	for _, test := range []struct {
		answer Answer
		want   string
	}{
		{Answer{Status: 503, RetryAfter: 5, Reload: true}, `<meta http-equiv="refresh" content="5">`},
		{Answer{Status: 503, RetryAfter: 5, Reload: true}, "<p>This page tries again by itself in 5 seconds.</p>"},
		{Answer{Status: 503, RetryAfter: 1}, "<p>Please try again in 1 second.</p>"},
		{Answer{Status: 429, RetryAfter: 301}, "<p>Please try again in 6 minutes.</p>"},
		{Answer{Status: 503, RetryAfter: 7200}, "<p>Please try again in 2 hours.</p>"},
		{Answer{Status: 404}, "<h1>Not Found</h1>\n<p>Please check the address.</p>\n<footer></footer>"},
		{Answer{Status: 413}, "<h1>Content Too Large</h1>\n<footer></footer>"},
		{Answer{Status: 599}, "<title>599 Error</title>"},
	} {
		test.answer.Accept = []byte("text/html")
		body, _ := (*Pages)(nil).Append(nil, &test.answer)
		if !strings.Contains(string(body), test.want) {
			t.Errorf("%+v: the page lacks %s:\n%s", test.answer, test.want, body)
		}
	}
}

func TestMostSpecificPage(t *testing.T) {
	p := compile(t,
		"5xx /every5.html = every 5xx",
		"502,503 /every502.html = every 502",
		"shop.example.com 500-599 /shop.html = shop 5xx",
		"*.example.com 502 /sub502.html = sub 502",
		"*.b.example.com 502 /b502.html = b 502",
		"^shop[0-9]+\\.net$ 4xx /pattern.html = first pattern",
		"^shop 404 /pattern2.html = second pattern",
	)
	for _, test := range []struct {
		host   string
		status int
		want   string
	}{
		{"other.org", 500, "every 5xx"},
		{"other.org", 503, "every 502"},
		{"other.org", 404, ""},
		{"shop.example.com", 502, "shop 5xx"},
		{"shop.example.com", 404, "second pattern"},
		{"a.example.com", 502, "sub 502"},
		{"a.example.com", 503, "every 502"},
		{"example.com", 502, "every 502"}, // a wildcard wants a label
		{"a.b.example.com", 502, "b 502"},
		{"b.example.com", 502, "sub 502"},
		{"shop7.net", 404, "first pattern"},
		{"shop.net", 404, "second pattern"},
		{"shop.net", 403, ""},
		{"", 502, "every 502"}, // a head that could not be read
	} {
		a := Answer{Status: test.status, Host: []byte(test.host), Accept: []byte(browser)}
		body, _ := p.Append(nil, &a)
		got := string(body)
		if strings.HasPrefix(got, "<!doctype") {
			got = ""
		}
		if got != test.want {
			t.Errorf("%s %d: %q, want %q", test.host, test.status, got, test.want)
		}
	}
}

func TestFormOfOwnPages(t *testing.T) {
	const line = "this site does not answer\n"
	for _, test := range []struct {
		pages               []string
		accept, want, type_ string
	}{
		{[]string{"502 /a.html = H"}, browser, "H", "text/html; charset=utf-8"},
		{[]string{"502 /a.html = H"}, curl, "H", "text/html; charset=utf-8"},
		{[]string{"502 /a.html = H"}, axios, `{"status":502,"title":"Bad Gateway","detail":"this site does not answer"}` + "\n", "application/json"},
		{[]string{"502 /a.html = H"}, "text/plain", line, "text/plain; charset=utf-8"},
		{[]string{"502 /a.html = H", "502 /a.json = {}", "502 /a.txt = T"}, axios, "{}", "application/json"},
		{[]string{"502 /a.html = H", "502 /a.json = {}", "502 /a.txt = T"}, curl, "H", "text/html; charset=utf-8"},
		{[]string{"502 /a.html = H", "502 /a.json = {}", "502 /a.txt = T"}, "text/plain", "T", "text/plain; charset=utf-8"},
		{[]string{"502 /a.txt = T"}, browser, "T", "text/plain; charset=utf-8"},
		{[]string{"502 /a.json = {}"}, curl, "{}", "application/json"},
		{[]string{"x.org 502 /a.txt = T", "502 /a.HTM = \xe9"}, browser, "\xe9", "text/html"}, // says its charset itself
		{[]string{"x.org 502 /a.txt = T", "502 /a.html = H"}, curl, "T", "text/plain; charset=utf-8"},
	} {
		a := Answer{Status: 502, Host: []byte("x.org"), Accept: []byte(test.accept), Text: "this site does not answer"}
		body, contentType := compile(t, test.pages...).Append(nil, &a)
		if string(body) != test.want || contentType != test.type_ {
			t.Errorf("%q for %s: %s, %q", test.pages, test.accept, contentType, body)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	a := Answer{Status: 503, Host: []byte("x.org"), RequestID: []byte("<r\"1'&\\\r\n\xff>é"), Text: "<soon>", RetryAfter: 5}
	for _, test := range []struct{ name, content, want string }{
		{"a.html", "%(status) %(reason) %(text) %(host) %(rid) %(retry-after) 100%", "503 Service Unavailable &lt;soon&gt; x.org &lt;r&#34;1&#39;&amp;\\\ufffd&gt;é 5 100%"},
		{"a.json", `{"rid":"%(rid)","status":%(status)}`, `{"rid":"<r\"1'&\\` + "\ufffd" + `>é","status":503}`},
		{"a.txt", "%(rid)%%(status)", "<r\"1'&\\\ufffd>é%(status)"},
	} {
		p, err := Compile([]Page{{Selector{Statuses: []Status{{503, 503}}}, []byte(test.content), test.name}})
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := p.Append(nil, &a); string(body) != test.want {
			t.Errorf("%s: %q, want %q", test.name, body, test.want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, test := range []struct {
		pages []string
		index int
		want  string
	}{
		{[]string{"502 /a.html = one\ntwo %(stauts)"}, 0, `/a.html:2: "%(stauts" is no placeholder: want %(status), `},
		{[]string{"502 /a.html = %(status"}, 0, `/a.html:1: "%(status" is no placeholder`},
		{[]string{"502 /a.html = %(a very long piece of script) "}, 0, `/a.html:1: "%(a very long piece of…" is no placeholder`},
		{[]string{"502 /a.html = H", "502 /a.php = H"}, 1, "/a.php: want a file whose name ends with .html, .txt or .json"},
		{[]string{"502 /a.d/b = H"}, 0, "/a.d/b: want a file whose name ends with"},
		{[]string{"502 /a.html"}, 0, "/a.html: the file is empty"},
		{[]string{"502 /a.html = " + strings.Repeat("x", mostPage+1)}, 0, "/a.html: the file has 1048577 bytes, more than 1048576"},
		{[]string{"*.x.org 502 /a.html = H", "5xx /x.html = H", "*.X.org 503,502 /b.html = H"}, 2, "/b.html: there is a page for host *.x.org and status 502 already: /a.html"},
	} {
		var pages []Page
		for _, o := range test.pages {
			pages = append(pages, page(t, o))
		}
		_, err := Compile(pages)
		var e *Error
		if !errors.As(err, &e) || e.Index != test.index || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v, want %q of page %d", err, test.want, test.index)
		}
	}
	// All that is wrong is said at once.
	_, err := Compile([]Page{page(t, "502 /a.html"), page(t, "502 /b.html = H"), page(t, "502 /c.php")})
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Error(err)
	}
}

func TestParseOption(t *testing.T) {
	for _, test := range []struct{ value, host, statuses, file, err string }{
		{"502,503 /srv/errors/down.html", "*", "502 503", "/srv/errors/down.html", ""},
		{"shop.example.com 404 /a b.html", "shop.example.com", "404", "/a b.html", ""},
		{"*.Example.com.  4xx,500-503\t/x.html", "*.example.com", "400-499 500-503", "/x.html", ""},
		{"127.0.0.1 5XX x.html", "127.0.0.1", "500-599", "x.html", ""},
		{"* 404 x.html", "*", "404", "x.html", ""},
		{"^a[0-9]$ 404 x.html", "^a[0-9]$", "404", "x.html", ""},
		{"404", "", "", "", "want [HOST] STATUS[,STATUS…] FILE"},
		{"", "", "", "", "want [HOST] STATUS[,STATUS…] FILE"},
		{"a.org /x.html", "", "", "", "want [HOST] STATUS[,STATUS…] FILE"},
		{"a.org down /x.html", "", "", "", `"down" is no status of an error`},
		{"200 /x.html", "", "", "", `"200" is no status of an error: want 404, 5xx or 500-503, from 400 to 599`},
		{"404, 500 /x.html", "", "", "", `"" is no status of an error`},
		{"3xx /x.html", "", "", "", `"3xx" is no status`},
		{"503-500 /x.html", "", "", "", `"503-500" is no status`},
		{"404-+500 /x.html", "", "", "", `host "404-+500": want a name`},
		{"a..org 404 /x.html", "", "", "", `host "a..org": want a name`},
	} {
		s, file, err := ParseOption(test.value)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want %q", test.value, err, test.err)
			}
			continue
		}
		var statuses []string
		for _, one := range s.Statuses {
			statuses = append(statuses, one.String())
		}
		if err != nil || s.Host.String() != test.host || strings.Join(statuses, " ") != test.statuses || file != test.file {
			t.Errorf("%q: %s, %v, %q, %v", test.value, s.Host, statuses, file, err)
		}
	}
}

func TestPreferred(t *testing.T) {
	for _, test := range []struct {
		accept string
		want   form
	}{
		{"", anyForm}, {"*/*", anyForm}, {"text/*", anyForm}, {browser, htmlForm}, {axios, jsonForm}, {"image/webp,*/*", anyForm},
		{"APPLICATION/JSON", jsonForm}, {"application/vnd.api+json", jsonForm}, {"application/problem+json;q=0.5, text/html;q=0.4", jsonForm},
		{"application/json;q=0.4, text/html;q=0.5", htmlForm}, {"application/json;q=0, */*", anyForm},
		{"text/html ; level=1 ; Q = 0.001 , application/json;q=0.002", jsonForm}, {"text/html;q=banana", htmlForm},
		{"text/plain, application/json", textForm}, {"application/json;q=0.9999, text/html;q=0.999", jsonForm},
		{strings.Repeat("x", 5000) + ",application/json", jsonForm}, {",;,=,;q", anyForm},
	} {
		if got := preferred([]byte(test.accept)); got != test.want {
			t.Errorf("%.80q: %d, want %d", test.accept, got, test.want)
		}
	}
}

// FuzzAnswer: whatever a visitor sends, what it gets back is its form.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("shop.example.com"), []byte(browser))
	f.Add([]byte("<script>\"'&\\\x00\u2028\xff"), []byte(axios))
	f.Add([]byte("\u0085\xe2\x80"), []byte("text/html;q=1.5"))
	own := compile(f, `502 /a.json = {"host":"%(host)","rid":"%(rid)"}`)
	f.Fuzz(func(t *testing.T, sent, accept []byte) {
		a := Answer{Status: 502, Host: sent, RequestID: sent, Accept: accept, Text: string(sent), RetryAfter: 5, Reload: true}
		_, _ = own.Append(nil, &a)
		a.Accept = []byte("application/json")
		for _, p := range []*Pages{nil, own} {
			body, _ := p.Append(nil, &a)
			if !json.Valid(body) || !utf8.Valid(body) {
				t.Errorf("%q", body)
			}
		}
		a.Accept = []byte("text/html")
		a.Text = ""
		body, _ := (*Pages)(nil).Append(nil, &a)
		a.Host, a.RequestID = nil, []byte("x")
		empty, _ := (*Pages)(nil).Append(nil, &a)
		if strings.Count(string(body), "<") != strings.Count(string(empty), "<") || !utf8.Valid(body) {
			t.Errorf("%q", body)
		}
	})
}
