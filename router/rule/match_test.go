package rule

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// manyRules returns n rules: literal hosts for the most part, every tenth with a
// capture, every hundredth of a form that only package regexp can match.
func manyRules(n int) []Source {
	list := make([]Source, n)
	for i := range list {
		value := fmt.Sprintf(`^www\.site%d\.example$ uwsgi:/run/sites/site%d.sock,0,0`, i, i)
		switch {
		case i%100 == 99:
			value = fmt.Sprintf(`^(\w+)\.(\w+)\.site%d\.example$ uwsgi:/run/sites/$1-$2.sock,0,0`, i)
		case i%10 == 9:
			value = fmt.Sprintf(`^([-\w]+)\.site%d\.example$ uwsgi:/run/sites/$1.sock,0,0`, i)
		}
		list[i] = Source{"route-host", value, "main.ini", i + 1}
	}
	return list
}

// literalHosts returns n rules with one literal host each.
func literalHosts(n int) []Source {
	list := make([]Source, n)
	for i := range list {
		list[i] = Source{"route-host", fmt.Sprintf(`^www\.site%d\.example$ uwsgi:/run/sites/site%d.sock,0,0`, i, i), "main.ini", i + 1}
	}
	return list
}

// sloppyRules returns n rules that no map of hosts can hold: no anchors, and dots
// that match anything.
func sloppyRules(n int) []Source {
	list := make([]Source, n)
	for i := range list {
		list[i] = Source{"route-host", fmt.Sprintf(`site%d.example uwsgi:/run/sites/site%d.sock,0,0`, i, i), "main.ini", i + 1}
	}
	return list
}

func compile(t testing.TB, list []Source) *Table {
	t.Helper()
	table, problems := Compile(list)
	if problems != nil {
		t.Fatal(problems)
	}
	return table
}

// TestNoAllocation: a warm Match of everything but captures of package regexp
// leaves nothing to the garbage collector.
func TestNoAllocation(t *testing.T) {
	table := mustCompile(t, `
route-run = addvar:UWSGI_SCHEME=https
route-run = log:from ${REMOTE_ADDR} for ${HTTP_HOST}
route-host = ^www\.example\.com$ uwsgi:/tmp/www.sock,0,0
route-host = ^([-\w]+)\.example\.com$ uwsgi:/tmp/uwsgi_$1.sock,0,0
route-host = ^(?<name>.+)\.example\.net$ vassal:${name}
route-host = ^(?:www|old)\.example\.org$ redirect-permanent:https://example.org${REQUEST_URI}
route-host = ^(?:a+|b+)\.example\.edu$ http:127.0.0.1:8000,x.example
route-host = ^port\.example:81$ return:404
route-uri = ^/static/ vassal:static
route-if = startswith:${REQUEST_URI};/api vassal:api
route-run = break:404 Not Found
`)
	for _, url := range []string{
		"www.example.com", "site.example.com:8080", "a.b.example.net", "old.example.org/path", "aaa.example.edu", "port.example:81",
		"h/static/x", "h/api", "h/other",
	} {
		q := queryFor(url)
		q.Vars = hostOnly(q.Host)
		var d Decision
		if n := testing.AllocsPerRun(100, func() { table.Match(q, &d) }); n != 0 {
			t.Errorf("%s: %v allocations (%s)", url, n, &d)
		}
		if d.Kind == None || d.Kind == Unsafe {
			t.Errorf("%s: %s", url, &d)
		}
	}
}

// TestNoAllocationInChains: the same for what changes requests and responses.
func TestNoAllocationInChains(t *testing.T) {
	table := mustCompile(t, `
route-run = setscheme:https
route-run = setremoteaddr:${HTTP_HOST}
route-run = addvar:A=192.0.2.7
route-run = rewrite:/new${PATH_INFO}?a=b
route-run = addheader:X-Site: ${lower[HTTP_HOST]} ${qs[a]} ${httptime[60]} ${hex[PATH_INFO]}
route-run = hash:key=${PATH_INFO},var=V,items=a;b
route-if = ipv4in:${A};10.0.0.0/8 return:403
route-run = +:N,2
route-run = expires:value=60
route-run = basicauth:R,u:p
route-if = isfile:/srv/maint/${HTTP_HOST}.flag return:503
route-run = static:/srv/www${PATH_INFO}
error-route-status = 404 file:filename=/srv/www/404.html,status=404
response-route = ^/ delheader:Server
response-route-run = addheader:X: ${uwsgi[status]}
final-route-run = log:${PATH_INFO} ${uwsgi[rsize]}
`)
	q := worldly("h/a")
	q.Vars = hostAndUser("h")
	q.Types = nil
	var d Decision
	var kinds []Kind
	if n := testing.AllocsPerRun(100, func() {
		kinds = kinds[:0]
		q.Status = 0
		table.Match(q, &d)
		kinds = append(kinds, d.Kind)
		q.Status = 404
		table.MatchError(q, &d)
		kinds = append(kinds, d.Kind)
		table.MatchResponse(q, &d)
		table.MatchFinal(q, &d)
	}); n != 0 {
		t.Errorf("%v allocations (%s)", n, everything(&d))
	}
	if fmt.Sprint(kinds) != fmt.Sprint([]Kind{Static, File}) {
		t.Errorf("decided %v (%s)", kinds, everything(&d))
	}
}

// hostAndUser is a Vars that does not allocate.
type hostAndUser []byte

var credentials = []byte("Basic dTpw")

func (h hostAndUser) Var(name string) ([]byte, bool) {
	switch name {
	case "HTTP_HOST":
		return h, true
	case "HTTP_AUTHORIZATION":
		return credentials, true
	}
	return nil, false
}

// hostOnly is a Vars that does not allocate.
type hostOnly []byte

func (h hostOnly) Var(name string) ([]byte, bool) { return h, name == "HTTP_HOST" }

// TestConcurrentUse: one table, many goroutines, each with its own Decision.
func TestConcurrentUse(t *testing.T) {
	table := compile(t, append(literalHosts(300), sloppyRules(50)...))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			var d Decision
			for i := range 300 {
				q := &Query{Host: fmt.Appendf(nil, "www.site%d.example", i)}
				table.Match(q, &d)
				if d.Kind != Uwsgi {
					t.Errorf("host %s: %s", q.Host, &d)
				}
			}
		})
	}
	wait.Wait()
}

// TestDecisionIsReused: nothing of one request is left in the next decision.
func TestDecisionIsReused(t *testing.T) {
	table := mustCompile(t, `
route-host = ^a$ addvar:A=1
route-host = ^a$ log:a
route-host = ^a$ http:127.0.0.1:1,h,/u
route-host = ^(b/)$ vassal:$1
route-host = ^c$ redirect:http://x/
route-host = ^d$ break:404 x
route-host = ^e$ file:filename=/srv/x,status=404
route-host = ^f$ rewrite:/x?y
route-host = ^f$ setmethod:PUT
route-host = ^f$ addheader:A: b
route-host = ^f$ gzip:
route-host = ^f$ donotlog:
route-host = ^f$ logvar:a=b
route-host = ^f$ setmodifier1:5
route-host = ^f$ basicauth:R,u:p
`)
	var d Decision
	for range 2 {
		for _, host := range []string{"a", "b/", "c", "d", "e", "f", "g"} {
			var fresh Decision
			q := &Query{Host: []byte(host)}
			table.Match(q, &d)
			table.Match(q, &fresh)
			if got, want := fmt.Sprintf("%+v", public(&d)), fmt.Sprintf("%+v", public(&fresh)); got != want {
				t.Errorf("host %s:\n got %s\nwant %s", host, got, want)
			}
		}
	}
}

// public returns the exported part of a decision.
func public(d *Decision) []any {
	return []any{d.Kind, d.Rule, d.Address, d.HasModifiers, d.Modifier1, d.Modifier2, d.Host, d.URI, d.Name, d.Code,
		d.Location, d.Reason, d.Body, d.Challenge, d.CloseAfter, d.Why, d.Root, d.Path, d.ContentType, d.GuessType,
		d.Request, d.Response, d.Vars, d.LogVars, d.Notes, d.Unlogged}
}

// TestMemory: 100,000 literal hosts fit in 64 MiB, their text included.
func TestMemory(t *testing.T) {
	before := heap()
	list := literalHosts(100_000)
	text := heap()
	table := compile(t, list)
	after := heap()
	t.Logf("directives %d KiB, table %d KiB", (text-before)/1024, (after-text)/1024)
	if used := after - before; used > 64<<20 {
		t.Errorf("100,000 hosts take %d bytes, want at most 64 MiB", used)
	}
	runtime.KeepAlive(table)
	runtime.KeepAlive(list)
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
