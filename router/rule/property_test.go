package rule

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// randomRules writes n rules of every kind: all chains and subjects, conditions,
// labels and jumps between host rules of all shapes.
func randomRules(random *rand.Rand, n int) []Source {
	one := func(list ...string) string { return list[random.Intn(len(list))] }
	list := make([]Source, 0, n)
	labels := make(map[int]Source) // that jumps above need, by where they will stand
	for i := range n {
		if label, ok := labels[i]; ok {
			list = append(list, label)
			continue
		}
		prefix := "route"
		if random.Intn(4) == 0 {
			prefix = one("error-route", "response-route", "final-route")
		}
		action := fmt.Sprintf("addvar:V=%d|$0|$1|$2", i)
		switch random.Intn(12) {
		case 0:
			at := i + 1 + random.Intn(9)
			action = fmt.Sprintf("goto:l%d", at)
			labels[at] = Source{prefix + "-label", fmt.Sprintf("l%d", at), "main.ini", at}
		case 1:
			action = one("last:", "break:")
		case 2:
			if prefix == "route" {
				action = one("vassal:v$1", "uwsgi:/run/$1.sock,0,0", "rewrite:/r/$1?q=$2", "seturi:/u/$1", "setuser:$1", "setremoteaddr:10.0.0.$1", "rewrite-last:/x")
			} else if prefix != "final-route" {
				action = one("return:403", "addheader:X: $1", "redirect:http://x/$1", "static-next:/srv/$1")
			}
		case 3:
			action = one("log:$1", "+:N,3", "hash:key=$0,var=H,items=a;b;c")
		}
		pattern := randomPattern(random)
		key, value := prefix+"-host", pattern+" "+action
		switch random.Intn(14) {
		case 0:
			key = prefix + one("", "-uri", "-qs", "-remote-addr", "-user-agent", "-referer", "-remote-user")
			value = one("a", "^/(.)", "(.)$", "^$", `\d+`) + " " + action
		case 1:
			key = prefix + one("-if", "-if-not")
			value = one("eq:${HTTP_HOST};a", "regexp:${HTTP_HOST};^(.)(.)", "empty:${V}", "startswith:${PATH_INFO};/r", "isfile:/srv/${HTTP_HOST}", ">:${N};5") + " " + action
		case 2:
			key, value = prefix+"-run", action
		case 3:
			key, value = prefix+"-label", fmt.Sprintf("x%d", i)
		case 4:
			if prefix != "route" {
				key, value = prefix+"-status", one("404", "200")+" "+action
			}
		}
		list = append(list, Source{key, value, "main.ini", i})
	}
	return list
}

// compileValid compiles the directives without those that have mistakes: random
// ones jump to labels that are not there.
func compileValid(t *testing.T, list []Source) *Table {
	for {
		table, problems := Compile(list)
		if problems == nil {
			return table
		}
		bad := make(map[int]bool)
		for _, err := range problems {
			bad[err.(*Problem).Pos.Line] = true
		}
		var rest []Source
		for _, s := range list {
			if !bad[s.Line] {
				rest = append(rest, s)
			}
		}
		if len(rest) == len(list) {
			t.Fatal(problems)
		}
		list = rest
	}
}

// runLinear is what chain.run must be equal to: every rule in its turn, without an
// index.
func runLinear(c *chain, q *Query, d *Decision) {
	for i := 0; i < len(c.rules); i++ {
		r := &c.rules[i]
		if !r.test.holds(q, d) {
			continue
		}
		switch r.apply(q, d) {
		case stop:
			return
		case jump:
			i = d.target - 1
		}
	}
}

// TestAnyRulesAreLinear: the index changes nothing, whatever stands between host
// rules, in all chains, and Explain tells of what happens.
func TestAnyRulesAreLinear(t *testing.T) {
	var d Decision
	decided, jumped := 0, 0
	for seed := range int64(60) {
		random := rand.New(rand.NewSource(seed))
		table := compileValid(t, randomRules(random, 1+random.Intn(150)))
		for i := range table.chains {
			for _, r := range table.chains[i].rules {
				if _, ok := r.action.(*gotoAction); ok {
					jumped++
				}
			}
		}
		for range 20 {
			q := worldly(join(random, hostParts, random.Intn(5)) + ".example.com/" + join(random, []string{"a", "r/", "%20", "9"}, random.Intn(4)))
			if random.Intn(2) == 0 {
				random := randomQuery(random)
				q.Host, q.HostPort = random.Host, random.HostPort
			}
			q.Status = []int{200, 404}[random.Intn(2)]
			linear, explained := &Decision{}, &Decision{}
			for c := range table.chains {
				linear.decideAnew()
				runLinear(&table.chains[c], q, linear)
				if c == 0 {
					table.Match(q, &d)
				} else {
					table.matchLater(Chain(c), q, &d)
				}
				steps := table.ExplainChain(Chain(c), q, explained)
				want := everything(linear)
				if got := everything(&d); got != want {
					t.Fatalf("seed %d, host %q, %v chain:\n got %s\nwant %s", seed, q.Host, Chain(c), got, want)
				}
				if got := everything(explained); got != want {
					t.Fatalf("seed %d, host %q, %v chain, explained:\n got %s\nwant %s", seed, q.Host, Chain(c), got, want)
				}
				if d.Rule != nil {
					decided++
					if last := steps[len(steps)-1]; last.Rule != d.Rule || !last.Matched {
						t.Fatalf("seed %d: the last step is %s, want %s", seed, last.Rule, d.Rule)
					}
				}
			}
		}
	}
	if decided < 500 || jumped < 100 {
		t.Errorf("only %d decisions and %d jumps: the test does not look at much", decided, jumped)
	}
}

// FuzzRules: whatever the rules and the request, nothing panics, the index changes
// nothing, and what the client sent stays in its place.
func FuzzRules(f *testing.F) {
	for _, test := range reference {
		_, target, _ := strings.Cut(test.url, "/")
		f.Add(test.rules, "h", "/"+target, "u:p")
	}
	random := rand.New(rand.NewSource(3))
	for range 10 {
		var text strings.Builder
		for _, s := range randomRules(random, 10) {
			text.WriteString(s.Key + " = " + s.Value + "\n")
		}
		f.Add(text.String(), "www.example.com", "/a/../b?c=%41", "x")
	}
	f.Fuzz(func(t *testing.T, text, host, target, header string) {
		if len(text) > 2000 || strings.Count(text, "{") > 20 || strings.Contains(text, "00") {
			return // counts of repetition take long to compile
		}
		table, problems := Compile(sources(text))
		if problems != nil {
			return
		}
		raw, query, _ := strings.Cut(target, "?")
		path, ok := appendDecoded(nil, []byte(raw))
		if !ok || hasControl([]byte(target)) {
			return // such a target never gets this far
		}
		q := worldly("h/")
		q.Host, q.URI, q.Path, q.QueryString = []byte(host), []byte(target), normalise(append([]byte("/"), path...)), []byte(query)
		q.Vars = vars{"HTTP_HOST": host, "HTTP_X": header, "HTTP_COOKIE": header, "HTTP_AUTHORIZATION": "Basic " + header, "REQUEST_METHOD": header}
		q.Status = 404
		var d Decision
		stateless := !strings.Contains(text, "algo") && !strings.Contains(text, "uuid")
		linear := &Decision{}
		for c := range table.chains {
			if c == 0 {
				table.Match(q, &d)
			} else {
				table.matchLater(Chain(c), q, &d)
			}
			checkPlaces(t, text, q, &d, Chain(c))
			linear.decideAnew()
			runLinear(&table.chains[c], q, linear)
			if stateless && everything(linear) != everything(&d) {
				t.Fatalf("%s\n got %s\nwant %s", text, everything(&d), everything(linear))
			}
		}
	})
}

// checkPlaces: nothing in d can break a line, leave its directory or be another host.
func checkPlaces(t *testing.T, text string, q *Query, d *Decision, c Chain) {
	fail := func(what string, value []byte) {
		t.Helper()
		t.Fatalf("%s\nwith host %q, URI %q: %s is %q (%s)", text, q.Host, q.URI, what, value, d)
	}
	if d.Kind == Unsafe && c != RequestChain {
		fail("the kind", []byte(d.Why))
	}
	for _, line := range [][]byte{d.Location, d.Host, d.URI, d.Challenge, d.Reason, d.ContentType, d.Request.URI, d.Request.QueryString} {
		if hasControl(line) {
			fail("a line", line)
		}
	}
	for _, h := range d.Response.Headers {
		if hasControl(h.Value) || checkHeaderName(h.Name) != nil {
			fail("the header "+h.Name, h.Value)
		}
	}
	for _, n := range d.Notes {
		if hasControl(n.Text) {
			fail("a note", n.Text)
		}
	}
	for _, v := range d.Vars {
		if strings.HasPrefix(v.Name, "HTTP_") && hasControl(v.Value) {
			fail(v.Name, v.Value)
		}
		if namesPath(v.Name) && !v.from.own && (!strings.Contains(text, "/") || strings.Contains("/"+string(v.Value)+"/", "/../")) {
			fail(v.Name, v.Value)
		}
	}
	if m := d.Request.Method; m != nil && !isMethod(m) {
		fail("the method", m)
	}
	if s := string(d.Request.Scheme); s != "" && s != "http" && s != "https" {
		fail("the scheme", []byte(s))
	}
	for _, path := range [][]byte{d.URI, d.Request.URI, d.Request.Path} {
		if path != nil && (len(path) == 0 || path[0] != '/') {
			fail("a path", path)
		}
	}
	if p := d.Request.Path; hasDots(p) || strings.IndexByte(string(p), 0) >= 0 {
		fail("PATH_INFO", p)
	}
	if (d.Kind == Static || d.Kind == File) && (hasDots(d.Path) || len(d.Path) > 0 && d.Path[0] == '/') {
		fail("the file", d.Path)
	}
	if d.Kind == Uwsgi || d.Kind == Vassal || d.Kind >= HTTP && d.Kind <= SCGI {
		_, target := d.Rule.target()
		result := d.Address
		if d.Kind == Vassal {
			result = d.Name
		}
		checkTarget(fail, target, d, result)
	}
}

func hasDots(path []byte) bool {
	for _, name := range strings.Split(string(path), "/") {
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

// checkTarget: an address has the slashes, colons and bars that its rule spells.
func checkTarget(fail func(string, []byte), target *template, d *Decision, result []byte) {
	spelled := target.literal
	for _, p := range target.list() {
		if p.variable != "" {
			for _, v := range d.Vars {
				if v.from.own && v.Name == p.variable {
					return // a whole address of the rules' own
				}
			}
		}
		if p.isLiteral() {
			spelled += p.literal
		}
	}
	for _, c := range "/:|" {
		if strings.Count(spelled, string(c)) != strings.Count(string(result), string(c)) {
			fail("the address of "+target.String(), result)
		}
	}
	if !target.isLiteral() && strings.Contains(string(result), "..") && !strings.Contains(spelled, ".") {
		for _, name := range strings.Split(string(result), "/") {
			if name == ".." {
				fail("the directory", result)
			}
		}
	}
}
