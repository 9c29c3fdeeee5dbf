package rule

import (
	"strings"
	"testing"
)

// answered runs all chains as the front does for a request that is answered with
// that status, and spells what each decided.
func answered(table *Table, url string, status int) string {
	var d Decision
	q := worldly(url)
	table.Match(q, &d)
	out := []string{everything(&d)}
	q.Status = status
	for _, c := range []struct {
		name string
		run  func(*Query, *Decision)
		skip bool
	}{
		{"error", table.MatchError, status < 400 || !table.Has(ErrorChain)},
		{"response", table.MatchResponse, !table.Has(ResponseChain)},
		{"final", table.MatchFinal, !table.Has(FinalChain)},
	} {
		if c.skip {
			continue
		}
		if c.name == "final" {
			q.Sent, q.Now = 135, now.Add(1500)
		}
		c.run(q, &d)
		out = append(out, c.name+": "+everything(&d))
	}
	return strings.Join(out, "\n")
}

func TestChains(t *testing.T) {
	tests := []struct {
		name, rules string
		status      int
		want        string
	}{
		{"none", "route-run = vassal:x", 200, "to vassal x"},
		{"FIX: the error chain is for errors", "error-route-run = addheader:X-E: 1", 200, "the default"},
		{"error", "error-route-run = addheader:X-E: 1", 404, "the default\nerror: +X-E: 1; the default"},
		{"error by status", "error-route-status = 503 static:/srv/maint/index.html\nerror-route-run = return:500", 503,
			"the default\nerror: serve /srv/maint/index.html"},
		{"error by another status", "error-route-status = 503 static:/srv/maint/index.html\nerror-route-run = return:500", 502,
			"the default\nerror: answer 500 Internal Server Error"},
		{"error replaced by a redirect", "error-route = ^/err redirect:http://x/", 404, "the default\nerror: answer 302 to http://x/"},
		{"both chains see an error", "error-route-run = addheader:A: 1\nresponse-route-run = addheader:B: 2", 500,
			"the default\nerror: +A: 1; the default\nresponse: +A: 1; +B: 2; the default"},
		{"response", "route-run = addheader:A: 1\nresponse-route-uri = ^/err addheader:B: ${uwsgi[status]}", 200,
			"+A: 1; the default\nresponse: +A: 1; +B: 200; the default"},
		{"response by status", "response-route-status = 200 delheader:X-App\nresponse-route-status = 404 delheader:X-Other", 200,
			"the default\nresponse: -X-App; the default"},
		{"response, FIX: replaced", "response-route-run = return:403", 200, "the default\nresponse: answer 403 Forbidden"},
		{"response reset", "response-route-run = clearheaders:410 Gone", 200, "the default\nresponse: reset to 410 Gone; the default"},
		{"response, last", "response-route-run = last:\nresponse-route-run = return:403", 200, "the default\nresponse: no more rules"},
		{"error, break", "error-route-run = break:", 500, "the default\nerror: close the connection without an answer"},
		{"response, by subjects", "response-route-host = ^h$ addheader:A: 1\nresponse-route-if-not = eq:${REQUEST_METHOD};POST addheader:B: 1\nresponse-route-user-agent = curl addheader:C: 1", 200,
			"the default\nresponse: +A: 1; +B: 1; +C: 1; the default"},
		{"response with goto", "response-route-run = goto:a\nresponse-route-run = return:403\nresponse-route-label = a", 200, "the default\nresponse: the default"},
		{"final", "final-route-run = log:${uwsgi[status]} ${uwsgi[rsize]} ${uwsgi[rtime]}\nfinal-route-status = 200 donotlog:", 200,
			"the default\nfinal: unlogged; log: 200 135 1000001; the default"},
		{"final, break", "final-route-run = break:\nfinal-route-run = log:x", 200, "the default\nfinal: no more rules"},
		{"later chains see what rules made of the request", "route-run = rewrite:/new\nresponse-route = ^/new$ addvar:A=1\nfinal-route-if = eq:${A};1 log:${PATH_INFO}", 200,
			"PATH_INFO=/new; QUERY_STRING=; the default\nresponse: PATH_INFO=/new; QUERY_STRING=; A=1; the default\nfinal: PATH_INFO=/new; QUERY_STRING=; A=1; log: /new; the default"},
		{"notes are those of the last chain", "route-run = log:a\nresponse-route-run = log:b", 200, "log: a; the default\nresponse: log: b; the default"},
		{"the way to the vassal is no answer", "route-run = vassal:x\nresponse-route-host = ^other$ return:403", 200, "to vassal x\nresponse: the default"},
		{"labels are those of their chain", "route-label = a\nresponse-route-run = goto:a\nresponse-route-label = a\nroute-run = vassal:x", 200,
			"to vassal x\nresponse: the default"},
		{"what a client sent fails no response", "response-route = (?s)^/(.*) redirect:http://$1.example/\nresponse-route = (?s)^/(.*) addheader:A: $1\nresponse-route-run = addheader:B: 1", 200,
			"the default\nresponse: +B: 1; " + `warn: the rule is passed over: $1 is "err/a\r\nb", which can not be part of a host (letters, digits and .-_:[]); ` +
				`warn: the rule is passed over: $1 is "err/a\r\nb", which can not be part of a header field (no control characters); the default`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := answered(mustCompile(t, test.rules), "h/err/a%0d%0ab", test.status); got != test.want {
				t.Errorf("%s\n got %s\nwant %s", test.rules, got, test.want)
			}
		})
	}
}

// TestHas: a chain without rules need not be run.
func TestHas(t *testing.T) {
	table := mustCompile(t, "error-route-run = log:x\nfinal-route-label = x")
	for c, want := range map[Chain]bool{RequestChain: false, ErrorChain: true, ResponseChain: false, FinalChain: true} {
		if table.Has(c) != want {
			t.Errorf("Has(%v) = %v", c, !want)
		}
	}
	if table.Len() != 2 || len(table.Rules()) != 2 || table.Rules()[0].Chain() != ErrorChain {
		t.Errorf("%d rules: %v", table.Len(), table.Rules())
	}
}

// TestChainMemory: what earlier chains left is still what it was when a later one
// has made the buffer grow.
func TestChainMemory(t *testing.T) {
	table := mustCompile(t, "route-run = uwsgi:/run/${HTTP_HOST}.sock,0,0\nresponse-route-run = addheader:X: ${PATH_INFO}${PATH_INFO}${PATH_INFO}")
	var d Decision
	q := worldly("h/" + strings.Repeat("long", 200))
	table.Match(q, &d)
	address := d.Address
	table.MatchResponse(q, &d)
	if string(address) != "/run/h.sock" || len(d.Response.Headers[0].Value) != 3*801 {
		t.Errorf("address %q, headers %v", address, d.Response.Headers)
	}
}
