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
`)
	var d Decision
	for range 2 {
		for _, host := range []string{"a", "b/", "c", "d", "e"} {
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
		d.Location, d.Reason, d.Body, d.CloseAfter, d.Why, d.Vars, d.Notes}
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

func BenchmarkMatch(b *testing.B) {
	for _, set := range []struct {
		name string
		list func(int) []Source
	}{{"mixed", manyRules}, {"literal", literalHosts}, {"sloppy", sloppyRules}} {
		for _, n := range []int{10, 100, 10_000, 100_000} {
			table := compile(b, set.list(n))
			for _, hit := range []struct {
				name, host string
			}{
				{"first", "www.site0.example"},
				{"last", fmt.Sprintf("www.site%d.example", n-2)},
				{"capture", fmt.Sprintf("blog.site%d.example", n-1)},
				{"none", "www.other.org"},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", set.name, n, hit.name), func(b *testing.B) {
					q := &Query{Host: []byte(hit.host)}
					var d Decision
					b.ReportAllocs()
					for b.Loop() {
						table.Match(q, &d)
					}
				})
			}
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, set := range []struct {
		name string
		list func(int) []Source
	}{{"mixed", manyRules}, {"literal", literalHosts}, {"sloppy", sloppyRules}} {
		list := set.list(100_000)
		b.Run(set.name+"/100000", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compile(b, list)
			}
		})
	}
}
