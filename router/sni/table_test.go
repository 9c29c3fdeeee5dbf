package sni

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// named is an Entry of names with files called after the first.
func named(names ...string) Entry {
	return Entry{Names: names, Source: Files{Certificate: "/sni/" + names[0] + ".crt", Key: "/sni/" + names[0] + ".key"}.Source(), At: "main.ini:1"}
}

func compileOrFail(t testing.TB, c Config) *Table {
	t.Helper()
	table, problems := Compile(c)
	for _, p := range problems {
		t.Errorf("problem: %v", p)
	}
	return table
}

func TestOrderOfNames(t *testing.T) {
	names, problems := ReadDirectory([]string{
		"dir.example.com.crt", "dir.example.com.key",
		"both.example.com.pem",
		"_wildcard_.deep.example.com.crt", "_wildcard_.deep.example.com.key", "_wildcard_.deep.example.com.ca",
		"re.example.net/fullchain.pem", "re.example.net/privkey.pem",
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	table := compileOrFail(t, Config{
		Entries: []Entry{
			named("both.example.com", "other.example.com"),
			named("*.example.com"),
			{Pattern: `^([a-z]+)\.example\.net$`, Source: Files{Certificate: "/re/$1.crt", Key: "/re/key.pem"}.Source(), At: "main.ini:7"},
			{Pattern: `Example\.net`, Source: Files{Certificate: "/second.crt", Key: "/second.key"}.Source()},
			named("*.www.example.net"),
		},
		Directories: []Directory{{Path: "/dir/", Names: names, At: "main.ini:9"}},
	})
	for name, want := range map[string]string{
		"both.example.com":     "sni /sni/both.example.com.crt, /sni/both.example.com.key",
		"other.example.com":    "sni /sni/both.example.com.crt, /sni/both.example.com.key",
		"dir.example.com":      "sni-dir /dir/dir.example.com.crt, /dir/dir.example.com.key",
		"a.example.com":        "wildcard /sni/*.example.com.crt, /sni/*.example.com.key",
		"a.b.example.com":      "wildcard /sni/*.example.com.crt, /sni/*.example.com.key",
		"a.deep.example.com":   "wildcard /dir/_wildcard_.deep.example.com.crt, /dir/_wildcard_.deep.example.com.key",
		"a.b.deep.example.com": "wildcard /dir/_wildcard_.deep.example.com.crt, /dir/_wildcard_.deep.example.com.key",
		"deep.example.com":     "wildcard /sni/*.example.com.crt, /sni/*.example.com.key",
		"re.example.net":       "sni-dir /dir/re.example.net/fullchain.pem, /dir/re.example.net/privkey.pem",
		"abc.example.net":      "sni-regexp /re/abc.crt, /re/key.pem",
		"a1.example.net":       "sni-regexp /second.crt, /second.key",
		"abc.example.net.evil": "sni-regexp /second.crt, /second.key",
		"a.www.example.net":    "wildcard /sni/*.www.example.net.crt, /sni/*.www.example.net.key",
		"example.com":          "",
		"com":                  "",
		"xexample.com":         "",
		"unknown.example.org":  "",
		strings.Repeat("a.", 120) + "example.org": "",
		strings.Repeat("a.", 200) + "example.com": "",
	} {
		c, ok := table.Find(name)
		got := ""
		if ok {
			got = c.Kind.String() + " " + c.Source.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if table.Len() != 10 {
		t.Errorf("the table has %d names and patterns", table.Len())
	}
}

func TestAnyName(t *testing.T) {
	table := compileOrFail(t, Config{Entries: []Entry{
		named("*"), named("a.b"),
		{Pattern: "^c", Source: Files{Certificate: "/c.crt", Key: "/c.key"}.Source()},
	}})
	for name, want := range map[string]string{"a.b": "a.b", "c.d": "^c", "x": "*", "x.y.z": "*"} {
		if c, ok := table.Find(name); !ok || c.Rule != want {
			t.Errorf("%s: by %q, want %q", name, c.Rule, want)
		}
	}
}

func TestClientCAOfADirectory(t *testing.T) {
	names, _ := ReadDirectory([]string{"open.example.com.crt", "open.example.com.key", "closed.example.com.pem", "closed.example.com.ca", "f/fullchain.pem", "f/privkey.pem", "f/ca.pem"})
	for _, tt := range []struct {
		client, want ClientAuth
	}{{NoClientCert, RequestClientCert}, {RequestClientCert, RequestClientCert}, {RequireClientCert, RequireClientCert}} {
		table := compileOrFail(t, Config{Directories: []Directory{{Path: "/dir", Names: names, Policy: Policy{Client: tt.client}}}})
		if c, _ := table.Find("open.example.com"); c.Policy.Client != NoClientCert || !c.ClientCA.IsZero() {
			t.Errorf("a name without a file of CAs: %v from %q", c.Policy.Client, c.ClientCA.Path())
		}
		for name, ca := range map[string]string{"closed.example.com": "/dir/closed.example.com.ca", "f": "/dir/f/ca.pem"} {
			if c, _ := table.Find(name); c.Policy.Client != tt.want || c.ClientCA.Path() != ca {
				t.Errorf("%s: %v from %q, want %v from %s", name, c.Policy.Client, c.ClientCA.Path(), tt.want, ca)
			}
		}
	}
}

func TestProblemsOfATable(t *testing.T) {
	with := func(e Entry, change func(*Entry)) Entry { change(&e); return e }
	dir := []DirectoryName{{Name: "a.b", Base: "a.b"}}
	for _, tt := range []struct {
		config   Config
		want     string
		harmless bool
	}{
		{Config{Entries: []Entry{named("a.b"), named("a.b")}}, "main.ini:1: a.b is there already, at main.ini:1, and the first one counts", true},
		{Config{Entries: []Entry{named("*"), named("*")}}, "main.ini:1: * is there already", true},
		{Config{Directories: []Directory{{Path: "/one", Names: dir}, {Path: "/two", Names: dir, At: "main.ini:2"}}}, "main.ini:2: a.b is there already, at /one,", true},
		{Config{Entries: []Entry{named("a..b")}}, `main.ini:1: "a..b" is no host name`, false},
		{Config{Entries: []Entry{{At: "main.ini:1"}}}, "there is no name", false},
		{Config{Entries: []Entry{with(named("a.b"), func(e *Entry) { e.Policy.Client = RequireClientCert })}}, "the file of client CAs is empty", false},
		{Config{Entries: []Entry{with(named("a.b"), func(e *Entry) { e.Policy.MinVersion, e.Policy.MaxVersion = 0x304, 0x303 })}},
			"no TLS version is left: the oldest allowed is TLS 1.3, the newest TLS 1.2", false},
		{Config{Entries: []Entry{{Pattern: "a(", At: "main.ini:1"}}}, "main.ini:1: a( is no regular expression", false},
		{Config{Entries: []Entry{{Pattern: "a", Source: Files{Certificate: "/c/$1", Key: "/k"}.Source()}}}, "/c/$1: the regular expression has no group 1, it has 0", false},
		{Config{Entries: []Entry{{Pattern: "(a)", Source: Files{Certificate: "$1.crt", Key: "/k"}.Source()}}}, "$1.crt: want a directory before the first capture", false},
	} {
		_, problems := Compile(tt.config)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.want) || problems[0].Harmless != tt.harmless {
			t.Errorf("problems %v, want %q (harmless %t)", problems, tt.want, tt.harmless)
		}
	}
}

func TestReadDirectory(t *testing.T) {
	names, problems := ReadDirectory([]string{
		"b.example.com.key", "b.example.com.crt", "b.example.com.ca",
		"A.example.com.crt", "A.example.com.key",
		"*.example.org.crt", "*.example.org.key",
		"_wildcard_.example.net.pem",
		"c.example.com/fullchain.pem", "c.example.com/privkey.pem", "c.example.com/ca.pem", "c.example.com/chain.pem", "c.example.com/cert.pem",
		"c.example.com.ca",
		"d.example.com.pem", "d.example.com.crt", "d.example.com.key",
		"README", ".hidden.crt", "notes.txt", "sub/x.crt", ".crt",
		"half.example.com.crt", "ca.example.com.ca", "k.example.com.key", "h.example.com/privkey.pem",
		"no name.crt", "no name.key",
		"B.example.com.pem",
	})
	want := []DirectoryName{
		{"*.example.net", "_wildcard_.example.net", Bundle, false},
		{"*.example.org", "*.example.org", CrtKey, false},
		{"a.example.com", "A.example.com", CrtKey, false},
		{"b.example.com", "b.example.com", CrtKey, true},
		{"c.example.com", "c.example.com", Folder, true},
		{"d.example.com", "d.example.com", CrtKey, false},
	}
	if !slices.Equal(names, want) {
		t.Errorf("names\n got %+v\nwant %+v", names, want)
	}
	wantProblems := []string{
		"B.example.com.pem: the same name as b.example.com.crt, which counts",
		"ca.example.com.ca: there is no ca.example.com.crt and .key beside it",
		"h.example.com/privkey.pem: there is no h.example.com/fullchain.pem beside it",
		"half.example.com.crt: there is no half.example.com.key beside it",
		"k.example.com.key: there is no k.example.com.crt beside it",
		`no name.crt: "no name" is no host name: it has a character other than`,
	}
	if len(problems) != len(wantProblems) {
		t.Fatalf("problems %v, want %v", problems, wantProblems)
	}
	for i, p := range problems {
		if !strings.Contains(p.Error(), wantProblems[i]) {
			t.Errorf("problem %q, want %q", p, wantProblems[i])
		}
	}
	table := compileOrFail(t, Config{Directories: []Directory{{Path: "/d", Names: names}}})
	if c, ok := table.Find("a.example.com"); !ok || c.Source.Certificate.Path() != "/d/A.example.com.crt" {
		t.Errorf("a.example.com: %v", c.Source)
	}
}

func FuzzReadDirectory(f *testing.F) {
	f.Add("a.example.com.crt\na.example.com.key\n_wildcard_.b.c.pem\nd/fullchain.pem\nd/privkey.pem\nD.pem\n../x.pem")
	f.Fuzz(func(t *testing.T, text string) {
		names, _ := ReadDirectory(strings.Split(text, "\n"))
		table, problems := Compile(Config{Directories: []Directory{{Path: "/d", Names: names}}})
		if len(problems) > 0 || table.Len() != len(names) {
			t.Errorf("%d names, of them in the table %d: %v", len(names), table.Len(), problems)
		}
		for i := range names {
			c, ok := table.Find(names[i].Name)
			if path := c.Source.Certificate.Path(); !ok || !strings.HasPrefix(path, "/d/") || strings.Contains(path, "/..") {
				t.Errorf("%+v: %q, %t", names[i], path, ok)
			}
		}
	})
}

func TestCapturesStayInTheirDirectory(t *testing.T) {
	for _, tt := range []struct{ pattern, path, name, want string }{
		{`^(.+)\.example\.com$`, "/certs/$1.crt", "a.example.com", "/certs/a.crt"},
		{`^(.+)\.example\.com$`, "/certs/$1_prod.crt", "a.b.example.com", "/certs/a.b_prod.crt"},
		{`^(.)(.)\.example\.com$`, "/certs/$2/$1.crt", "ab.example.com", "/certs/b/a.crt"},
		{`(.*)`, "/certs/$0/fullchain.pem", "a.b", "/certs/a.b/fullchain.pem"},
		{`a(x)?`, "/certs/$1$.crt$", "ab", "/certs/$.crt$"},
		{`a(x)?`, "/certs/$1/c.crt", "ab", ""},
		{`^a(.)b(.)c$`, "/certs/$1$2/key", "a.b.c", ""},
		{`^a(.)b$`, "/certs/$1/key", "a.b", ""},
		{`^a(.)b$`, "/certs/.$1/key", "a.b", ""},
		{`^a(.)b$`, "/certs/.$1", "a.b", ""},
		{`^a(.)b$`, "/certs/x$1/$1./key", "a.b", ""},
		{`^(.+)$`, "/../$1/$1", "a.b", "/../a.b/a.b"}, // as its author wrote it
	} {
		table := compileOrFail(t, Config{Entries: []Entry{{Pattern: tt.pattern, Source: Files{Certificate: tt.path, Key: "/k"}.Source()}}})
		c, ok := table.Find(tt.name)
		if ok != (tt.want != "") || c.Source.Certificate.Name != tt.want {
			t.Errorf("%s to %s for %s: %q, %t, want %q", tt.pattern, tt.path, tt.name, c.Source.Certificate.Name, ok, tt.want)
		}
	}
}

func FuzzCaptures(f *testing.F) {
	f.Add(`^(.+)\.example\.com$`, "/certs/$1.crt", "a.example.com")
	f.Add(`^a(.)b(.)c$`, "/certs/$1$2/key", "a.b.c")
	f.Fuzz(func(t *testing.T, pattern, path, given string) {
		name, err := CanonicalName(given)
		root, _, captured := strings.Cut(path, "$")
		root = root[:strings.LastIndexByte(root, '/')+1]
		if err != nil || !captured || strings.Contains(path, "..") || strings.Contains(path, "//") || strings.Contains(path, "./") {
			return
		}
		table, problems := Compile(Config{Entries: []Entry{{Pattern: pattern, Source: Files{Certificate: path, Key: "/k"}.Source()}}})
		if len(problems) > 0 {
			return
		}
		c, ok := table.Find(name)
		if got := c.Source.Certificate.Name; ok && got != path && (!strings.HasPrefix(got, root) || slices.Contains(strings.Split(got[len(root):], "/"), "..")) {
			t.Errorf("%q to %q for %q: %q", pattern, path, name, got)
		}
	})
}

// However many names there are, looking for one takes no memory, whether it is there
// or not.
func TestFindAllocatesNothing(t *testing.T) {
	table := bigTable(t, 1000)
	for _, name := range []string{"site-7.example.com", "unknown.example.com", "a.wild.example.org", strings.Repeat("a.", 120) + "example.org"} {
		if n := testing.AllocsPerRun(100, func() { table.Find(name) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// bigTable has n names in a folder and a wildcard.
func bigTable(t testing.TB, n int) *Table {
	names := make([]DirectoryName, n)
	for i := range names {
		name := fmt.Sprintf("site-%d.example.com", i)
		names[i] = DirectoryName{Name: name, Base: name}
	}
	return compileOrFail(t, Config{Entries: []Entry{named("*.wild.example.org")}, Directories: []Directory{{Path: "/etc/customers", Names: names}}})
}
