package config

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// load writes files into a directory and loads f.ini as the main file or as a
// vassal's.
func load(t *testing.T, vassal bool, files map[string]string, change func(*Request)) (*Config, Problems, string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, files)
	r := Request{Set: uwsgiSet(t), File: "f.ini", Dir: dir, Vassal: vassal,
		Env: []string{"HOME=/root", "B=bee", "EMPTY=", "LOOP=x$(LOOP)", "PATH=/usr/bin:/bin"}}
	if change != nil {
		change(&r)
	}
	c, problems := Load(r)
	return c, problems, dir
}

func listValues(c *Config) string {
	var out []string
	for _, v := range c.Values {
		text := v.Key + "=" + v.Value
		if v.Unknown {
			text += " (unknown)"
		}
		if v.Extended {
			text += " (extended)"
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// TestProblems is the list of mistakes: the first problem in the main file and in
// a vassal's, "w " for a plain and "t " for a tolerated warning.
func TestProblems(t *testing.T) {
	tests := []struct {
		name         string
		text         string
		main, vassal string
	}{
		{name: "fine", text: "http-timeout = 60\nmaster\n"},
		{"seconds", "http-timeout = ten\n", "f.ini:2: http-timeout: want seconds, got 'ten'", "t "},
		{"negative", "processes = -1\n", "f.ini:2: processes: want a number, at least 0, got -1", "t "},
		{"trailing garbage", "processes = 2x\n", "f.ini:2: processes: want a number, got '2x'", "t "},
		{"number without value", "processes\n", "f.ini:2: processes: want a number, got nothing", "t "},
		{"bool", "master = banana\n", "f.ini:2: master: want true or false, got 'banana'", "t "},
		{"size", "limit-post = 1q\n", "f.ini:2: limit-post: want bytes (or a number with k, m or g), got '1q'", "t "},
		{"mode", "chmod-socket = 999\n", "f.ini:2: chmod-socket: want a file mode of three octal digits such as 660, got '999'", "t "},
		{"address without brackets", "http = ::1:8080\n", "f.ini:2: http: want [::1]:8080, with brackets round an IPv6 address, got '::1:8080'", "t "},
		{"port", "http = :http\n", "f.ini:2: http: want a port from 0 to 65535 after the colon, got ':http'", "t "},
		{"key=value", "env = LANG\n", "f.ini:2: env: want NAME=VALUE, got 'LANG'", "t "},
		{"path", "chdir =\n", "f.ini:2: chdir: want a path, got nothing", "t "},
		{"alias in messages as written", "workers = x\n", "f.ini:2: workers: want a number, got 'x'", "t "},

		{"unknown key", "proceses = 4\n", "w f.ini:2: proceses: there is no such option and no %(proceses) uses it; did you mean processes?", "w "},
		{"underscore", "http_timeout = 4\n", "w f.ini:2: http_timeout: there is no such option and no %(http_timeout) uses it; did you mean http-timeout?", "w "},
		{name: "a placeholder is no mistake", text: "base = /srv\nchdir = %(base)\n"},
		{name: "forward, and in arithmetic", text: "processes = %(n * 2)\nn = 2\n"},
		{name: "used only in a skipped block", text: "base = /srv\nif-env = NOPE\nchdir = %(base)\nendif =\n"},
		{"misspelt placeholder", "base = /srv\nchdir = %(bse)%(base)\n", "w f.ini:3: chdir: nothing defines %(bse), so it stays as it is; did you mean %(base)?", ""},
		{name: "log variables are no placeholders", text: "log-format = %(addr) %(method)\n"},
		{"strict", "strict = true\nbase = /srv\nchdir = %(base)\n", "f.ini:3: base: there is no such option, and strict (f.ini:2) allows no placeholders but set-ph", "f.ini:3: base"},
		{"strict counts backwards", "nope = 1\nstrict = true\n", "f.ini:2: nope: there is no such option, and strict (f.ini:3) allows no placeholders but set-ph", "f.ini:2: nope"},
		{name: "strict = false", text: "strict = false\nbase = /\nchdir = %(base)\n"},
		{"in the wrong file", "http = :8080\n", "", ""},

		{"cycle", "a = %(b)\nb = %(c)\nc = %(a)\n", "f.ini:2: a: the placeholder refers to itself: %(a) → %(b) → %(c) → %(a)", "f.ini:2: a:"},
		{"cycle of one", "chdir = %(chdir)/x\n", "f.ini:2: chdir: the placeholder refers to itself: %(chdir) → %(chdir)", "f.ini:2: chdir:"},
		{"cycle through arithmetic", "a = %(b + 1)\nb = %(a + 1)\nx = %(a)%(x2)\nx2 = 1", "f.ini:2: a: the placeholder refers to itself: %(a) → %(b) → %(a)", "f.ini:2: a:"},
		{name: "a later line of the same name is no cycle", text: "a = 1\na = %(a)2\n"},
		{"growth", "a = xxxxxxxxxxxxxxxx%(b)%(b)\nb = %(c)%(c)%(c)%(c)%(c)%(c)%(c)%(c)%(c)%(c)\nc = %(d)%(d)%(d)%(d)%(d)%(d)%(d)%(d)%(d)%(d)\nd = %(e)%(e)%(e)%(e)%(e)%(e)%(e)%(e)%(e)%(e)\ne = %(f)%(f)%(f)%(f)%(f)%(f)%(f)%(f)%(f)%(f)\nf = %(g)%(g)%(g)%(g)%(g)%(g)%(g)%(g)%(g)%(g)\ng = yyyyyyyyyyyyyyyyyyyyy\n",
			"f.ini:2: a: replacing %(…) in this value does not come to an end", "f.ini:2: a:"},
		{"cycle in the environment", "env = A=$(LOOP)\n", "f.ini:2: env: replacing $(…) in this value does not come to an end", "f.ini:2: env:"},
		{"unclosed block", "if-env = B\na = %(a2)\na2 = 1\n", "f.ini:2: if-env: this block is never closed: everything after it is skipped or repeated with it (want endif = before the end of the file)", "t f.ini:2"},
		{"unclosed loop", "for = a b\n", "f.ini:2: for: this block is never closed: everything after it is skipped or repeated with it (want endfor = before the end of the file)", "t "},
		{"two closers", "if-env = B\nendif\nendif\n", "f.ini:4: endif: closes nothing: no if-… or for… is open here", "t "},
		{"nested blocks", "if-env = NOPE\nfor = a\nend\n", "f.ini:3: for: blocks cannot be nested: the if-env of f.ini:2 is still open", "t "},
		{"empty condition", "if-env =\nendif\n", "f.ini:2: if-env: want a value to test, got nothing", "t "},
		{"else of a loop", "for = a\nelse\nend\n", "f.ini:3: else: no if-… is open here", "t "},
		{"two elses", "if-env = B\nelse\nelse\nendif\n", "f.ini:4: else: a second else for the if-env of f.ini:2", "t f.ini:3"},
		{"bad pattern", "if-hostname-match = (\na=%(a2)\nendif\n", "f.ini:2: if-hostname-match: bad regular expression", "t "},
		{"too many rounds", "for-times = 99999999\nhttp = :1\nend\n", "f.ini:3: http: more than 100000 lines or 64 MiB after includes and loops; the rest is not read", "f.ini:3: http:"},
		{"the file includes itself", "include = f.ini\n", "f.ini:2: include: f.ini includes itself", "f.ini:2: include: f.ini includes itself"},
		{"by way of another", "include = g.ini\n", "g.ini:2: include: f.ini (by way of g.ini) includes itself", "g.ini:2"},
		{"by another name", "include = ./f.ini\n", "f.ini:2: include: f.ini includes itself", "f.ini:2"},
		{"inherits itself", "inherit = h.ini\n", "h.ini:2: inherit: h.ini includes itself", "h.ini:2"},
		{"missing include", "include = nope.ini\n", "f.ini:2: include: cannot read nope.ini: no such file or directory (looked in DIR; %dnope.ini is a file beside this one)", "f.ini:2"},
		{"a folder", "include = d.ini\n", "f.ini:2: include: cannot read d.ini: not a regular file", "f.ini:2"},
		{"placeholder in include", "x = g\ninclude = %(x).ini\n", "f.ini:3: include: cannot read %(x).ini: no such file or directory (%(… is not replaced here: this line acts while the file is read, when only magic variables such as %d have a value)", "f.ini:3"},
		{"no extension", "include = x\n", `f.ini:2: include: cannot tell what "x" is: want a file whose name ends in .ini`, ""},
		{"yaml", "include = x.yaml\n", "f.ini:2: include: x.yaml is YAML; only ini files are read here: write its options as \"option = value\" lines under [uwsgi] in a .ini file", "f.ini:2: include: cannot read x.yaml: no such file"},
		{"plugin format", "config = x.lua\n", "f.ini:2: config: configuration formats of uWSGI's plugins are not read here; want an ini file (ini = x.lua)", ""},
		{"section missing in an include", "include = g.ini:nope\n", "w g.ini: there is no section [nope]; it has [uwsgi]", "w g.ini"},
		{"unset variable", "http = :$(PORT)\n", "f.ini:2: http: the environment has no PORT, so $(PORT) stays as it is; write $(PORT:-VALUE) to give a default", "t f.ini:2"},
		{"a shell's substitution", "env = X=$(hostname)\n", "w f.ini:2: env: the environment has no hostname", "w "},
		{name: "no variable at all", text: "env = X=$(date +%%s) $()\n"},
		{"percent", "env = A=100% done\n", "f.ini:2: \"% \" is no magic variable and is deleted; write %% for a plain percent sign", "t f.ini:2"},
		{"missing file content", "env = A=@(nope)\n", "f.ini:2: env: cannot read nope: no such file or directory", ""},
		{"unsupported source", "env = A=@(sym://x)\n", "f.ini:2: env: sym://… is a source only a real uWSGI has", ""},
		{"exit", "if-not-env = NOPE\nexit = 1\nendif\n", "f.ini:3: exit: the configuration asks to stop here", "t "},
		{"set", "set = x\n", "f.ini:2: set: want NAME=VALUE, got \"x\"", "f.ini:2"},
		{"inherited text is literal", "inherit = i.ini\n", "w i.ini:2: env: $(…) is not replaced in an inherited file; include it instead", ""},
		{"declared option without template", "declare-option = x\n", "f.ini:2: declare-option: want NAME=OPTION=VALUE;…, got \"x\"", "f.ini:2"},
		{"declared option for itself", "declare-option = x=x=$1$1\nx = a\n", "f.ini:3: x: the option declared at f.ini:2 stands for itself", "f.ini:3"},
		{"resolve", "resolve = x\n", "f.ini:2: resolve: want PLACEHOLDER=HOSTNAME, got \"x\"", "f.ini:2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, vassal := range []bool{false, true} {
				_, problems, dir := load(t, vassal, map[string]string{
					"f.ini": "[uwsgi]\n" + test.text, "g.ini": "[uwsgi]\ninclude = f.ini\n", "h.ini": "[uwsgi]\ninherit = h.ini\n",
					"i.ini": "[uwsgi]\nenv = A=$(B)\n", "d.ini/x": "",
				}, nil)
				got := ""
				if len(problems) > 0 {
					got = strings.ReplaceAll(problems[0].Error(), dir, "DIR")
					switch {
					case problems[0].Tolerated:
						got = "t " + got
					case problems[0].Warning:
						got = "w " + got
					}
				}
				want := test.main
				if vassal {
					want = test.vassal
				}
				if want == "" && got != "" || !strings.HasPrefix(got, want) {
					t.Errorf("vassal=%v:\n got %q\nwant %q", vassal, got, want)
				}
				if problems.Err() != nil != (len(problems.Errors()) > 0) {
					t.Error("Err and Errors disagree")
				}
			}
		})
	}
}

// TestMainValues: what lines come to in the main file, the deviations from uWSGI
// included.
func TestMainValues(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"aliases become the option's name", "workers = 4\nenv = N=%(workers)%(processes)\n", "processes=4; env=N=4%(processes)"},
		{"references are followed to the end", "chdir = %(b)\nb = %(c)\nc = /x\nset-ph = p=%(c)\nenv = A=%(p)\n", "chdir=/x; b=/x; c=/x; env=A=/x"},
		{"default of an unset variable", "http = :$(PORT:-8080)\nenv = A=$(EMPTY:-x)$(EMPTY-y)$(B:-z)$(U-w)$(V:-)\n", "http=:8080 (extended); env=A=xbeew (extended)"},
		{"extended is handed on", "p = $(PORT:-1)\nhttp = :%(p)\n", "p=1 (extended); http=:1 (extended)"},
		{"else", "if-env = NOPE\nenv = A=1\nelse =\nenv = A=2\nendif =\nif-env = B\nenv = A=%(_)\nelse\nenv = A=4\nend\nif-not-env = B\nenv = A=5\nelse\nenv = A=6\nend\n", "env=A=2; env=A=bee; env=A=6"},
		{"a block in a file included from a block", "if-env = B\ninclude = g.ini\nendif\n", "env=G=1; env=G=2"},
		{"a block ends with its file", "include = open.ini\nhttp = :1\n", "http=:1"},
		{"a bare section is the file's own", "ini = g.ini\nini = :t\n[t]\nhttp = :2\n", "env=G=1; env=G=2; http=:2"},
		{"file content", "env = A=@(content)%(z)\nz = 1\n", "env=A=a\n1; z=1"},
		{"a program's output", "env = A=@(exec://echo $B 'x(y)'; echo)\n", "env=A=bee x(y)\n"},
		{"an include from a program", "ini = exec://printf '[uwsgi]\\nhttp = 8084\\n'\n", "http=8084"},
		{"a declared option", "declare-option = site=http=$1;env=$2=$1;junk;env=Z=1\nsite = :1 N\n", "http=:1; env=N=:1"},
		{"declare-option2", "declare-option2 = site=http=$1\nsite = :1\n", "http=:1"},
		{"a declared option that includes", "declare-option = more=include=$1.ini\nmore = g\nhttp = :1\n", "http=:1; env=G=1; env=G=2"},
		{"inherited lines come last", "inherit = g.ini\nenv = A=1\n", "env=A=1; env=G=1; env=G=2"},
		{"envdir for the passes", "early-envdir = vars\nenv = A=$(FROMDIR)\n", "env=A=v"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, problems, _ := load(t, false, map[string]string{"f.ini": "[uwsgi]\n" + test.text, "content": "a\n\n",
				"g.ini": "[uwsgi]\nfor = 1 2\nenv = G=%(_)\nendfor\n[t]\nhttp = :9\n", "open.ini": "[uwsgi]\nif-env = NOPE\n",
				"vars/FROMDIR": "v \nsecond\n"}, nil)
			if diff := cmp.Diff(test.want, listValues(c)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, problems)
			}
		})
	}
}

// TestVassalIsOnlyRead: nothing in a vassal's file makes us run, fetch or wait.
func TestVassalIsOnlyRead(t *testing.T) {
	fetched := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched = true }))
	defer server.Close()
	c, problems, dir := load(t, true, map[string]string{"f.ini": `[uwsgi]
a = @(exec://touch ran)
socket = /run/%(a).sock
socket = /run/plain.sock
chdir = @(content)
ini = exec://touch ran
include = ` + server.URL + `/x.ini
inherit = ` + server.URL + `/y.ini
include = x.lua
inject-before = exec://touch ran
include = g.ini
early-envdir = vars
if-plugin = python3
env = P=%(_)
endif =
if-not-reload = 1
env = R=1
endif =
resolve = ip=nowhere.invalid
http = %(ip):80
uid = u%t
print = @(exec://touch ran)
inherit = @(exec://touch ran).ini
`, "g.ini": "[uwsgi]\ngid = 1\n", "content": "/x", "vars/X": "1"}, nil)
	if err := problems.Err(); err != nil {
		t.Error(err)
	}
	want := "a=@(exec://touch ran) (unknown); socket=/run/@(exec://touch ran).sock (unknown); socket=/run/plain.sock; " +
		"chdir=@(content) (unknown); gid=1; env=P=python3 (unknown); env=R=1 (unknown); http=nowhere.invalid:80 (unknown); "
	if got := listValues(c); !strings.HasPrefix(got, want) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
	if v, _ := c.Last("uid"); !v.Unknown {
		t.Error("the time of day is not marked unknown")
	}
	var unread []string
	for _, v := range c.Unread {
		unread = append(unread, v.Key)
	}
	if diff := cmp.Diff([]string{"ini", "include", "include", "inject-before", "inherit", "inherit"}, unread); diff != "" {
		t.Errorf("unread (-want +got):\n%s", diff)
	}
	if fetched || unix.Access(filepath.Join(dir, "ran"), unix.F_OK) == nil {
		t.Error("a program was run or a URL fetched")
	}
}

// TestVassalPipe: a FIFO in a vassal's file holds nobody.
func TestVassalPipe(t *testing.T) {
	_, problems, _ := load(t, true, map[string]string{"f.ini": "[uwsgi]\ninclude = pipe.ini\nfor-readline = pipe.ini\na=%(a2)\nend\n"},
		func(r *Request) {
			if err := unix.Mkfifo(filepath.Join(r.Dir, "pipe.ini"), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	if got := fmt.Sprint(problems.Err()); !strings.Contains(got, "f.ini:2: include: cannot read pipe.ini: not a regular file") {
		t.Error(got)
	}
}

// TestVassalPrecedence is the observed order in which a vassal sees its sources.
func TestVassalPrecedence(t *testing.T) {
	files := map[string]string{"f.ini": "[uwsgi]\nchdir=/file\nph=file\nenv=N=%n %N %(ph) %(sph)\n"}
	for _, name := range []string{"incb", "inc", "inhb", "inh"} {
		files[name+".ini"] = "[uwsgi]\nchdir=/" + name + "\nph=" + name + "\nenv=" + name + "=%n|%N\n"
	}
	c, problems, _ := load(t, true, files, func(r *Request) {
		r.Env = append(r.Env, "UWSGI_CHDIR=/env")
		r.SetBefore = []Value{
			{Key: "chdir", Value: "/set", HasValue: true, Pos: Pos{File: "main.ini", Line: 3}},
			{Key: "sph", Value: r.ExpandMagic("%n-%%"), HasValue: true},
			{Key: "unused-by-this-one", Value: "1", HasValue: true},
		}
		r.IncludeBefore, r.IncludeAfter = []Value{{Value: "incb.ini"}}, []Value{{Value: "inc.ini"}}
		r.InheritBefore, r.InheritAfter = []Value{{Value: "inhb.ini"}}, []Value{{Value: "inh.ini"}}
	})
	if len(problems) != 0 {
		t.Errorf("problems:\n%s", problems)
	}
	var chdirs []string
	for _, v := range c.All("chdir") {
		chdirs = append(chdirs, v.Value)
	}
	if diff := cmp.Diff([]string{"/env", "/incb", "/set", "/file", "/inc", "/inhb", "/inh"}, chdirs); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	var envs []string
	for _, v := range c.All("env") {
		envs = append(envs, v.Value)
	}
	want := []string{"incb=incb|", "N=f f incb f-%", "inc=inc|f", "inhb=inhb|f", "inh=inh|f"}
	if diff := cmp.Diff(want, envs); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if v := c.All("chdir")[2]; v.Pos.String() != "main.ini:3" {
		t.Errorf("vassal-set lost its place: %s", v.Pos)
	}
}

func TestExpandMagic(t *testing.T) {
	r := Request{File: "d/blog.ini", Dir: "/srv"}
	for text, want := range map[string]string{
		"/run/%n.sock": "/run/blog.sock", "%d%s %N": "/srv/d/blog.ini blog", "%(x) %%n": "%(x) %n", "plain": "plain",
		"%Y-%m-%d": "%Y-%m-%d", "100%": "100%", "50% of %n": "50% of %n",
	} {
		if got := r.ExpandMagic(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestWrongPlace(t *testing.T) {
	set, err := NewSet([]Option{{Name: "command", Where: Vassal}, {Name: "both"}})
	if err != nil {
		t.Fatal(err)
	}
	_, problems := Load(Request{Set: set, Args: []string{"--command", "x", "--both", "y"}, Dir: "/"})
	if got := problems.String(); got != "command line: warning: command: has no effect in the main file; it belongs in a vassal's file\n" {
		t.Error(got)
	}
}

func TestLate(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"command = run --port %(port) --fd %(fd)\n", "run --port %(port) --fd %(fd)"},
		{"port = auto\ncommand = run %(port)\n", "run %(port)"},
		{"port = 8080\ncommand = run %(port)\n", "run 8080"},
	} {
		c, _, _ := load(t, true, map[string]string{"f.ini": "[uwsgi]\n" + test.text}, func(r *Request) {
			r.Late = map[string]string{"port": "auto", "fd": ""}
		})
		if v, _ := c.Last("command"); v.Value != test.want || !c.UsedPlaceholders["port"] {
			t.Errorf("%q: got %q", test.text, v.Value)
		}
	}
}

// TestFiles: what must be watched, missing files too.
func TestFiles(t *testing.T) {
	c, _, dir := load(t, false, map[string]string{
		"f.ini": "[uwsgi]\ninclude = g.ini\ninclude = g.ini\nenv = A=@(content)\ninherit = /nope/h.ini\n", "g.ini": "[uwsgi]\n", "content": "",
	}, nil)
	want := []string{dir + "/f.ini", dir + "/g.ini", dir + "/content", "/nope/h.ini"}
	if diff := cmp.Diff(want, c.Files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoSection(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "f.ini: there is no section [uwsgi]",
		"hello\n":            "f.ini: there is no section [uwsgi]",
		"[ uwsgi ]\na=1\n":   "f.ini: there is no section [uwsgi]; the header [ uwsgi ] is another name",
		"[Uwsgi]\na=1\n":     "f.ini: there is no section [uwsgi]; the header [Uwsgi] is another name",
		"[a]\n[b]\nhttp=1\n": "f.ini: there is no section [uwsgi]; it has [a], [b]",
	} {
		_, problems, _ := load(t, false, map[string]string{"f.ini": text}, nil)
		if len(problems) != 1 || problems[0].Error() != want || problems[0].Warning {
			t.Errorf("%q: %v", text, problems)
		}
		if _, problems, _ := load(t, true, map[string]string{"f.ini": text}, nil); problems.Err() != nil || len(problems) != 1 {
			t.Errorf("%q as vassal: %v", text, problems)
		}
	}
}

// TestHTTPSource: the main file may come from a URL.
func TestHTTPSource(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/x.ini" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, "[uwsgi]\nhttp = :1\n[s]\nhttp = :2\n")
	}))
	defer server.Close()
	c, problems, _ := load(t, false, nil, func(r *Request) { r.File = server.URL + "/x.ini:s" })
	if got := listValues(c); got != "http=:2" || len(problems) != 0 {
		t.Errorf("%s %v", got, problems)
	}
	_, problems, _ = load(t, false, nil, func(r *Request) { r.File = server.URL + "/y.ini" })
	if got := fmt.Sprint(problems.Err()); !strings.Contains(got, "404") {
		t.Error(got)
	}
}

func TestStrictProblems(t *testing.T) {
	_, problems, _ := load(t, true, map[string]string{"f.ini": "[uwsgi]\nprocesses = x\nnope = 1\n"}, nil)
	if len(problems.Warnings()) != 2 || len(problems.Strict().Errors()) != 1 || len(problems.Errors()) != 0 {
		t.Errorf("%s", problems)
	}
	if got := problems.String(); !strings.HasPrefix(got, "f.ini:2: warning: processes: want a number, got 'x'\n") {
		t.Error(got)
	}
}
