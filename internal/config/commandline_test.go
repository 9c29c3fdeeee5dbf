package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestCommandLine: getopt_long's forms (the same words were tried with glibc's).
func TestCommandLine(t *testing.T) {
	tests := []struct{ args, want, problem string }{
		{args: "--processes 4 --http=:8080", want: "processes=4; http=:8080"},
		{args: "f.ini --http :1", want: "http=:1; file=f"},
		{args: "f.ini --http :1 g.ini", want: "http=:1; file=f; file=g"},
		{args: "-p4 -p 5 -Mp6 -M", want: "processes=4; processes=5; master=; processes=6; master="},
		{args: "--workers 3", want: "processes=3"},
		{args: "--http-t 3", want: "http-timeout=3"},
		{args: "--work 3", want: "processes=3"},
		{args: "--http 1", want: "http=1"},
		{args: "--htt 1", problem: "command line: --htt: is short for more than one option: http, http-keepalive, http-timeout"},
		{args: "--master --http-keepalive --http-keepalive=30", want: "master=; http-keepalive=; http-keepalive=30"},
		{args: "--http-keepalive=false", want: "http-keepalive=false"},
		{args: "--master=false", problem: "command line: --master: takes no value"},
		{args: "--no-server=1", problem: "command line: --no-server: takes no value"},
		{args: "--processes", problem: "command line: --processes: want a number after it, got nothing"},
		{args: "-p", problem: "command line: -p: want a number after it, got nothing"},
		{args: "--proceses 4", problem: "command line: --proceses: there is no such option; did you mean processes?"},
		{args: "-q", problem: "command line: -q: there is no such option"},
		{args: "--processes x", want: "processes=x", problem: "command line: processes: want a number, got 'x'"},
		{args: "--set x=1 --http :%(x) -S y=2 --set-ph z=3", want: "x=1; http=:1; y=2"},
		{args: "--ini f.ini --processes 2", want: "file=f; processes=2"},
		{args: "-- f.ini --http", want: "file=f", problem: `command line: cannot tell what "--http" is: want a file whose name ends in .ini`},
		{args: "[title] f.ini", want: "file=f"},
		{args: "--if-env B --processes 1 --endif --if-env NOPE --processes 2 --endif", want: "processes=1"},
		{args: "--if-env NOPE --processes 2", problem: "command line: if-env: this block is never closed"},
		{args: "--declare-option site=http=$1 --site :1", want: "http=:1"},
		{args: "f.yaml", problem: "command line: f.yaml is YAML; only ini files are read here"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			c, problems, _ := load(t, false, map[string]string{"f.ini": "[uwsgi]\nfile = f\n", "g.ini": "[uwsgi]\nfile = g\n"},
				func(r *Request) {
					r.File, r.Args = "", strings.Fields(test.args)
				})
			if got := listValues(c); got != test.want {
				t.Errorf("values %q, want %q", got, test.want)
			}
			problem := ""
			if errs := problems.Errors(); len(errs) > 0 {
				problem = errs[0].Error()
			}
			if !strings.HasPrefix(problem, test.problem) || test.problem == "" && problem != "" {
				t.Errorf("problem %q, want %q", problem, test.problem)
			}
		})
	}
}

// TestPrecedence: environment, command line, files; scalars take the last.
func TestPrecedence(t *testing.T) {
	c, problems, _ := load(t, false, map[string]string{"f.ini": "[uwsgi]\nprocesses = 3\n"}, func(r *Request) {
		r.Args = []string{"--processes", "2"}
		r.Env = append(r.Env, "UWSGI_PROCESSES=1", "UWSGI_RELOADS=7", "UWSGI_NOBODYS=1")
	})
	var from []string
	for _, v := range c.All("workers") {
		from = append(from, v.Value+"@"+v.Pos.String())
	}
	if got := fmt.Sprint(from); got != "[1@environment UWSGI_PROCESSES 2@command line 3@f.ini:2]" || c.Int("processes") != 3 {
		t.Error(got)
	}
	if len(problems) != 0 {
		t.Errorf("%s", problems)
	}
	if c.Has("reloads") || !c.Has("nobodys") {
		t.Error("UWSGI_RELOADS is uWSGI's own, UWSGI_NOBODYS a placeholder")
	}
}

// TestKeptAbbreviations: what was short for a name of before us still is.
func TestKeptAbbreviations(t *testing.T) {
	set, err := NewSet([]Option{{Name: "http-keepalive"}, {Name: "http-keepalive-timeout"}, {Name: "http-keep-all"}, {Name: "http-kind"}})
	if err != nil {
		t.Fatal(err)
	}
	set.KeepAbbreviations([]string{"http-keepalive", "http-kind"})
	for args, want := range map[string]string{
		"--http-keepa=1": "http-keepalive=1", "--http-keepalive-=1": "http-keepalive-timeout=1",
		"--http-keep-=1": "http-keep-all=1", "--http-k=1": "",
	} {
		c, problems := Load(Request{Set: set, Args: []string{args}})
		if got := listValues(c); got != want || (want == "") != (problems.Err() != nil) {
			t.Errorf("%s is %q (%v), want %q", args, got, problems, want)
		}
	}
}
