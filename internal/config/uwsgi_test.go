package config

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAgainstUWSGI reads the same files with the real uwsgi and compares the
// finished list of lines, line by line: "uwsgi --show-config --no-server" prints
// its own. It needs uwsgi 2.0 on PATH.
func TestAgainstUWSGI(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string // f.ini is the one that is loaded
		args  []string          // instead of --ini f.ini
	}{
		{name: "grammar", files: map[string]string{"f.ini": "[uwsgi]\r\na = 1\r\nb=x ; y\n # c\nd\n  e = \"q\"\nf=\\\ng = `\n= z\n[x]\nh=1\n[uwsgi]\ni = a=b\n[uwsgi\nj=1\n[\nk=1\n[uwsgi]\nl:m = 1"}},
		{name: "NUL and odd blanks", files: map[string]string{"f.ini": "[uwsgi]\nh =\x00 3\ni\x00=4\n\x00j=4\nk = \v5 \f\n"}},
		{name: "magic", files: map[string]string{"my.app.v2.ini": "[uwsgi]\n%n = %o|%s|%n|%e|%c|%x|%v|%k|%u|%U|%g|%G|%h|%j|%i|%p|%d|%0|%1|%2|%9\nu = %O|%S|%N|%E|%C|%X|%J\n100% done = 5%%\nq = %\nr = 1\n"},
			args: []string{"--ini", "my.app.v2.ini"}},
		{name: "magic without a dot, in a folder with one", files: map[string]string{"d.x/file": "[uwsgi]\na=%e|%n|%s|%c|%o\nb=%E|%N\n"}, args: []string{"--ini", "d.x/file"}},
		{name: "upper-case magic needs a typed option", files: map[string]string{"f.ini": "[uwsgi]\na = %n %N\n"}, args: []string{"f.ini"}},
		{name: "section", files: map[string]string{"f.ini": "[uwsgi]\na=1\n[s]\nb=%x %X\nini = :t\n[t]\nc=%x %X %o\n"}, args: []string{"--ini", "f.ini:s"}},
		{name: "empty section means the default", files: map[string]string{"f.ini": "[uwsgi]\na=%x|\n"}, args: []string{"--ini", "f.ini:"}},
		{name: "include", files: map[string]string{
			"f.ini": "[uwsgi]\nb = 1\ninclude = sub/g.ini\nc = %(fromg) %n\n", "sub/g.ini": "[uwsgi]\nfromg = %n %N %(b)\nb = 2\nx = %(b)\n"}},
		{name: "inherit", files: map[string]string{
			"f.ini": "[uwsgi]\nchdir = /tmp\nname = g\ninherit = %(name).ini\nb = 1\n", "g.ini": "[uwsgi]\nchdir = /\nc = %(b) $(B) %n\ninclude = h.ini\n", "h.ini": "[uwsgi]\nd = %(b)\n"}},
		{name: "the last opened file gives the bare section", files: map[string]string{
			"f.ini": "[uwsgi]\nini = g.ini:s\nini = :t\n[t]\nx=1\n", "g.ini": "[s]\na=1\n[t]\nb=%x %o\n"}},
		{name: "inject", files: map[string]string{
			"f.ini": "[uwsgi]\ninject-before = i1\ninject-after = i2\ninclude = g.ini\n", "g.ini": "b = %n\n", "i1": "[uwsgi]\na=%n\n", "i2": "c=%n\n"}},
		{name: "environment", files: map[string]string{
			"f.ini": "[uwsgi]\na = $(A)\nb = $$(B)\nc = $(NOPE)x$(B)\nd = $()$(B)\ne = $(B\nf = $(C)\ng = $($(B))\nh = %(a)\ni = $(A B)\nj = $(EMPTY)|\nfoo = 17\n"}},
		{name: "UWSGI_ variables", files: map[string]string{"f.ini": "[uwsgi]\na = %(unknown-thing) %(chdir)\nchdir = /tmp\n"}},
		{name: "placeholders", files: map[string]string{
			"f.ini": "[uwsgi]\na = %(foo) %(fwd)\nfoo = 17\nfoo = second\nb = %(nope)%(foo)\nc = %%(foo) %%%(foo)\nd = x%(e)y\ne = %(foo)\nf = %(x (y) z) %(a(foo)b)\ng = %( foo )%(foo )\nh = %(x%(foo))-%(x%(foo))\nx17 = hit\nfwd = z\ni = a%(b\nj = %(foo) )\nk = %(ini) %(noval)|\nnoval\n"}},
		{name: "what begins with a reference is not looked at again", files: map[string]string{"f.ini": "[uwsgi]\na = %(b)\nc = -%(b)\nb = %(d)\nd = 1\n"}},
		{name: "arithmetic", files: map[string]string{
			"f.ini": "[uwsgi]\nfoo = 17\nbar = 30\na = %(foo + bar + 3 * 2) %(foo bar ++) %(5 + 3) %(2 3) %(foo+1)\nb = %(- foo) %(foo -) %(3 -- + 4) %(7 / 2) %(7 / 0) %(-7 / 2) %(2x + 3)\nc = %(foo * foo * foo) %(9223372036854775807 ++) %(foo nope bar) %(nope + 1)\nd = %(foo  +   bar)\n"}},
		{name: "set and set-placeholder", files: map[string]string{
			"f.ini": "[uwsgi]\nfoo = 1\nset-ph = p=%(foo)\nset-placeholder = q=x%(foo)\nset = chdir=/%(dir)\ndir = tmp\na = -%(p) %(q)\nset = k=a=b\n"}},
		{name: "logic", files: map[string]string{
			"f.ini": "[uwsgi]\nif-env = B\na = %(_)\nendif\nif-env = B=bee\nb = %(_)\nend =\nif-not-env = B=x\nc = %(_)\nendfor =\nif-not-env = NOPE\nd = %(_)\nend-if\nif-env = NOPE\ne = 1\nend-for\nif-opt = a\nf = %(_)\nendif\nif-opt = a=bee\ng = 1\nendif\nif-opt = a=$(B)\nh = 1\nendif\nif-not-opt = zz\ni = %(_)\nendif\nifenv = B\nj=1\nendif\n"}},
		{name: "logic about files", files: map[string]string{
			"f.ini": "[uwsgi]\nif-exists = f.ini\na = %(_)\nendif\nifexists = nope\nb = 1\nendif\nif-not-exists = nope\nc = %(_)\nendif\nif-file = f.ini\nd = 1\nendif\nif-dir = d\ne = %(_)\nendif\nif-directory = f.ini\nf = 1\nendif\nif-not-dir = f.ini\ng = 1\nendif\nif-not-file = d\nh = 1\nendif\nif-exists = d\ni = 1\nendif\n", "d/x": ""}},
		{name: "loops", files: map[string]string{
			"f.ini":  "[uwsgi]\nfor = a  b\nx = 1%(_)\ny = 2%(_)%(_)\nendfor =\nfor-times = 3\nt = %(_)\nendfor\nfor-glob = g*.txt\nglob = %(_)\nend\nfor-glob = no*\nnone = %(_)\nend\nfor-glob = ./[!x]/*\nl = %(_)\nend\nfor-readline = lines\nr = %(_)|\nendfor\nfor-times = x\nnever = 1\nend\n",
			"g1.txt": "", "g2.txt": "", ".g3.txt": "", "lines": "one\n\n  two %(foo)\nlast", "d/e/f": "", "d/g": "", "d/.h": ""}},
		{name: "include inside a block", files: map[string]string{"f.ini": "[uwsgi]\nif-env = B\ninclude = g.ini\nend=\ny=1\n", "g.ini": "[uwsgi]\nz=1\nzz=%(_)\n"}},
		{name: "an unclosed block reaches into the next file", files: map[string]string{"f.ini": "[uwsgi]\ninclude = g.ini\nz=1\nendif\ny=1\n", "g.ini": "[uwsgi]\nif-env = NOPE\na=1\n"}},
		{name: "nested opener in a skipped block", files: map[string]string{"f.ini": "[uwsgi]\nif-env = NOPE\nfor = a b\nz=%(_)\nend=\ny=1\n"}},
		{name: "closers without a block", files: map[string]string{"f.ini": "[uwsgi]\nendif\na = 1\nend=\n"}},
		{name: "else is not a word of 2.0", files: map[string]string{"f.ini": "[uwsgi]\nif-env = B\na=1\nelse=\nb=1\nendif\nif-env=NOPE\nc=1\nelse\nd=1\nendif\n"}},
		{name: "black and white lists", files: map[string]string{"f.ini": "[uwsgi]\nblacklist = uid gid\nchdir = /\nend-blacklist=\nwhitelist = chdir end-whitelist\nchdir = /tmp\nend-whitelist\na = 1\n"}},
		{name: "command line", files: map[string]string{"f.ini": "[uwsgi]\na = %(b) %(master)\n", "g.ini": "[uwsgi]\nc=1\n"},
			args: []string{"--set", "b=c", "f.ini", "-p4", "-Mp", "3", "--workers=5", "--set-pl", "abbreviated=1", "[title]", "--set-ph", "q=1", "--if-env", "NOPE", "--set", "x=1", "--endif", "--chmod-socket", "-C660", "-C", "--", "g.ini"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			if args == nil {
				args = []string{"--ini", "f.ini"}
			}
			compareWithUWSGI(t, test.files, args)
		})
	}
}

// compareWithUWSGI lets both read the files and reports whether they agree.
func compareWithUWSGI(t *testing.T, files map[string]string, args []string) bool {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, files)
	args = append([]string{"--no-server", "--show-config"}, args...)
	env := []string{"PATH=" + os.Getenv("PATH"), "A=$(B)", "B=bee", "C=%(foo)", "EMPTY=", "A B=x", "UWSGI_UNKNOWN_THING=1", "UWSGI_CHDIR=/"}

	cmd := exec.Command("uwsgi", args...)
	cmd.Dir, cmd.Env = dir, env
	output, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("this test compares with the real uwsgi; install it (apt-get install uwsgi-core): %v", err)
	}
	_, shown, found := strings.Cut(string(output), "\n;uWSGI instance configuration\n[uwsgi]\n")
	shown, _, complete := strings.Cut(shown, ";end of configuration\n")
	if !found || !complete {
		t.Errorf("uwsgi printed no configuration (%v):\n%s", err, output)
		return false
	}

	l := newLoader(Request{Set: uwsgiSet(t), Args: args, Env: env, Dir: dir, Vassal: true})
	l.readEnvironment()
	for _, file := range l.readCommandLine(args) {
		l.loadByExtension(file, Pos{}, true)
	}
	l.expand()
	l.apply()
	var ours strings.Builder
	for _, e := range l.entries {
		value := e.value
		if !e.has && e.pos.File == "" {
			value = "true"
		}
		ours.WriteString(e.key + " = " + value + "\n")
	}
	diff := cmp.Diff(strings.Split(shown, "\n"), strings.Split(ours.String(), "\n"))
	if diff != "" {
		t.Errorf("(-uwsgi +ours):\n%s\n%s", diff, l.problems)
	}
	return diff == ""
}

// TestUWSGIRefuses lists what stops a real uwsgi, and must be an error for a
// vassal's file too.
func TestUWSGIRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nested block", "if-env = B\nfor = a b\nz=1\nend\n", "f.ini:3: for: blocks cannot be nested: the if-env of f.ini:2 is still open"},
		{"blacklist", "blacklist = uid\nuid = 0\n", "f.ini:3: uid: forbidden by the blacklist of f.ini:2"},
		{"whitelist that cannot be closed", "whitelist = uid\nend-whitelist\n", "f.ini:3: end-whitelist: not on the whitelist of f.ini:2; list end-whitelist itself too, or nothing can close the whitelist"},
		{"placeholder that is an option", "set-ph = chdir=/\n", `f.ini:2: set-ph: "chdir" is an option and cannot be a placeholder; use set = chdir=/ to set the option`},
		{"set without value", "set = chdir\n", `f.ini:2: set: want NAME=VALUE, got "chdir"`},
		{"missing include", "include = nope.ini\n", "f.ini:2: include: cannot read nope.ini: no such file or directory"},
		{"include of a variable", "include = $(B)/x.ini\n", "f.ini:2: include: cannot read $(B)/x.ini: no such file or directory ($(… is not replaced here: this line acts while the file is read, when only magic variables such as %d have a value)"},
		{"strict", "strict = true\nnope = 1\nx = %(nope)\n", "f.ini:3: nope: there is no such option, and strict (f.ini:2) allows no placeholders but set-ph"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, map[string]string{"f.ini": "[uwsgi]\n" + test.text})
			cmd := exec.Command("uwsgi", "--no-server", "--ini", "f.ini")
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "B=bee"}
			output, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("uwsgi accepts it:\n%s", output)
			}
			_, problems := Load(Request{Set: uwsgiSet(t), File: "f.ini", Dir: dir, Env: cmd.Env, Vassal: true})
			errs := problems.Errors()
			if len(errs) == 0 || !strings.HasPrefix(errs[0].Error(), test.want) {
				t.Errorf("got %v, want %q first", errs, test.want)
			}
		})
	}
}

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// uwsgiSet has the few options of uWSGI's that the tests use.
func uwsgiSet(t testing.TB) *Set {
	t.Helper()
	set, err := NewSet([]Option{
		{Name: "no-server", Type: Flag, Argument: None},
		{Name: "processes", Aliases: []string{"workers"}, Short: 'p', Type: Int},
		{Name: "master", Short: 'M', Type: Flag, Argument: None},
		{Name: "chdir", Type: Path},
		{Name: "chmod-socket", Short: 'C', Type: Mode, Argument: Optional},
		{Name: "socket", Short: 's', Type: Address, Repeat: true},
		{Name: "uid"}, {Name: "gid"},
		{Name: "env", Type: KeyValue, Repeat: true},
		{Name: "http", Type: Address, Repeat: true, Where: Main},
		{Name: "http-timeout", Type: Seconds, Default: "60", Where: Main},
		{Name: "http-keepalive", Type: Int, Argument: Optional, Default: "1"},
		{Name: "limit-post", Type: Size},
		{Name: "reload-on-rss", Type: Megabytes},
		{Name: "route-host", Repeat: true, Where: Main},
		{Name: "log-format"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}
