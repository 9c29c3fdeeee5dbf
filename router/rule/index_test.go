package rule

import (
	"bytes"
	"fmt"
	"math/rand"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
)

// linear is the oracle: the same rules, tried one after the other with package
// regexp and nothing else. Patterns get capitals folded as the package documents.
type linear struct {
	patterns []*regexp.Regexp
	colon    []bool
	sources  []Source
}

func newLinear(patterns []string) *linear {
	l := &linear{}
	for i, pattern := range patterns {
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil || strings.Contains(pattern, " ") {
			continue
		}
		foldHost(tree)
		re, err := regexp.Compile(tree.String())
		if err != nil {
			continue
		}
		l.patterns = append(l.patterns, re)
		l.colon = append(l.colon, spellsColon(tree))
		// A third of the rules decides, the others leave a trace and go on.
		action := fmt.Sprintf("addvar:V=%d|$0|$1|$2|$3", i)
		switch i % 6 {
		case 0:
			action = fmt.Sprintf("addvar:V=%d|$0", i)
		case 1:
			action = fmt.Sprintf("addvar:V=%d", i)
		case 2, 3:
			action = fmt.Sprintf("return:200 %d", i)
		}
		l.sources = append(l.sources, Source{"route-host", pattern + " " + action, "main.ini", i})
	}
	return l
}

// trace says which rules ran, what they captured and which one decided.
func (l *linear) trace(q *Query) string {
	var b strings.Builder
	for i, re := range l.patterns {
		var text []byte
		var groups [][]byte
		if l.colon[i] && len(q.HostPort) > 0 {
			text = q.HostPort
			groups = re.FindSubmatch(text)
		}
		if groups == nil {
			text = q.Host
			groups = re.FindSubmatch(text)
		}
		if groups == nil {
			continue
		}
		_, action, _ := strings.Cut(l.sources[i].Value, " ")
		name, value, _ := strings.Cut(action, "=")
		if name != "addvar:V" {
			return b.String() + action
		}
		number, places, _ := strings.Cut(value, "|")
		b.WriteString(number)
		for n := range strings.Count(places, "$") {
			b.WriteByte('|')
			if n < len(groups) {
				b.Write(groups[n])
			}
		}
		b.WriteByte('\n')
	}
	return b.String() + "none"
}

func traceOf(table *Table, q *Query, d *Decision) string {
	table.Match(q, d)
	var b strings.Builder
	for _, v := range d.Vars {
		b.WriteString(string(v.Value) + "\n")
	}
	if d.Kind == None {
		return b.String() + "none"
	}
	return b.String() + d.Rule.Action()
}

func compare(t *testing.T, l *linear, table *Table, q *Query, d *Decision) {
	t.Helper()
	want := l.trace(q)
	if got := traceOf(table, q, d); got != want {
		for _, s := range l.sources {
			t.Log(s.Value)
		}
		t.Fatalf("host %q, %q:\n got %s\nwant %s", q.Host, q.HostPort, got, want)
	}
}

var (
	patternParts = []string{
		"a", "b", "www", "site", "example", "Example", "com", "x1", "-", "_", `\.`, `\.`, `\.`, `\.example\.com`, `\.com`, ".", ".*", ".+",
		`[-\w]+`, `([-\w]+)`, `(\w+)`, `(.+)`, `(.*)`, `([^.]+)`, `([a-z0-9-]+)`, `([A-Z]+)`, `([^A-Z]+)`, `(?P<n>\w+?)`, `(www\.)?`, `(?:www\.)?`, `(a|b)`, `(?:a|b|site)`,
		`[ab]`, `\d*`, `(\d{1,2})`, `.{2,3}`, `(a)?`, `(?:ab){1,2}`, `(?i:SITE)`, `(?i:k)`, ":80", `(:\d+)?`, `[:.]`, "^", "$", "é", `(é+)`, `\b`, `(?s:.)`,
	}
	hostParts = []string{"a", "b", "www", "site", "example", "com", "x1", "-", "_", ".", ".", ".", ".example.com", ".com", "ab", "7", "42", "é", "\xe2", "\xff", "\u017f", "k", "\n", "\x00", "..", ":80"}
)

func join(random *rand.Rand, parts []string, n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(parts[random.Intn(len(parts))])
	}
	return b.String()
}

func randomPattern(random *rand.Rand) string {
	pattern := join(random, patternParts, 1+random.Intn(5))
	if random.Intn(5) > 0 {
		pattern = "^" + pattern
	}
	if random.Intn(5) > 0 {
		pattern += "$"
	}
	if random.Intn(12) == 0 {
		pattern = "(?i)" + pattern
	}
	return pattern
}

func randomQuery(random *rand.Rand) *Query {
	q := &Query{Host: []byte(join(random, hostParts, random.Intn(6)))}
	if random.Intn(3) == 0 {
		q.HostPort = append(bytes.Clone(q.Host), []string{":80", ":8080", ":"}[random.Intn(3)]...)
	}
	return q
}

// TestIndexIsLinear: for random rules and hosts the table runs the same rules,
// with the same captures, in the same order, as trying one after the other.
func TestIndexIsLinear(t *testing.T) {
	var d Decision
	for seed := int64(0); seed < 25; seed++ {
		random := rand.New(rand.NewSource(seed))
		var patterns []string
		for range 1 + random.Intn(90) {
			patterns = append(patterns, randomPattern(random))
		}
		l := newLinear(patterns)
		table, problems := Compile(l.sources)
		if problems != nil {
			t.Fatal(problems)
		}
		for range 40 {
			compare(t, l, table, randomQuery(random), &d)
		}
	}
}

// TestFoldIsCaseInsensitive: on canonical hosts, folding a pattern without
// exclusions means what the flag (?i) means.
func TestFoldIsCaseInsensitive(t *testing.T) {
	parts := []string{"A", "b", "WWW", "Site", `\.`, ".", `[A-C]+`, `(\w+)`, `[B-Yz]`, `(X|y)?`, `[-0-9A-F]{2}`, "^", "$"}
	hosts := []string{"a", "b", "www", "site", ".", "x", "y", "z", "0f", "-", "c"}
	random := rand.New(rand.NewSource(1))
	for range 5000 {
		pattern := join(random, parts, 1+random.Intn(5))
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			continue
		}
		foldHost(tree)
		folded, insensitive := regexp.MustCompile(tree.String()), regexp.MustCompile("(?i)"+pattern)
		host := join(random, hosts, random.Intn(6))
		got, want := folded.FindStringSubmatchIndex(host), insensitive.FindStringSubmatchIndex(host)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s on %q: %v, with (?i) %v", pattern, host, got, want)
		}
	}
}

// FuzzHostIndex: the same as TestIndexIsLinear for whatever the fuzzer thinks of.
// Each line of patterns is one rule; the rules are also repeated, with a number,
// until the index by four bytes is in use.
func FuzzHostIndex(f *testing.F) {
	random := rand.New(rand.NewSource(7))
	for range 20 {
		f.Add(randomPattern(random)+"\n"+randomPattern(random), string(randomQuery(random).Host), ":80")
	}
	f.Add("^www\\.example\\.com$\n^([-\\w]+)\\.example\\.com$", "site.example.com", "")
	f.Add("(?i)^k\\.x$\n^(.+)\\.x$\n^(.{2})\\.x$", "\u212a.x", "")
	f.Fuzz(func(t *testing.T, patterns, host, port string) {
		// Nested repeat counts make programs of a thousand times their length.
		if len(patterns) > 200 || len(host) > 300 || strings.Count(patterns, "{") > 3 || regexp.MustCompile(`[0-9]{3}`).MatchString(patterns) {
			return
		}
		lines := strings.Split(patterns, "\n")
		given := len(lines)
		for n := range gramsFrom {
			lines = append(lines, fmt.Sprintf("%s%d", lines[n%given], n/2))
		}
		l := newLinear(lines)
		table, problems := Compile(l.sources)
		if problems != nil {
			t.Fatalf("Compile: %v", problems)
		}
		q := &Query{Host: []byte(host)}
		if port != "" {
			q.HostPort = []byte(host + ":" + port)
		}
		compare(t, l, table, q, &Decision{})
	})
}

// FuzzFindPCRE: the search for what to tell a user ends, for any pattern.
func FuzzFindPCRE(f *testing.F) {
	for _, pattern := range []string{`(?`, `\`, `[`, `[^`, `[[:`, `\Q`, `{`, `a{1,`, `(?P`, `(?i-`, `a{99999999999999999999}`} {
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if at, what := findPCRE(pattern); what != "" && (at < 0 || at >= len(pattern)) {
			t.Errorf("findPCRE(%q) = %d, %s", pattern, at, what)
		}
	})
}
