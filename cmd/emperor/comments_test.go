package main

import (
	"os"
	"strings"
	"testing"

	"emperor/emperor"
)

// TestCommentsBehindValues: check says of lines that the emperor and the front carry out,
// and of no others, that a comment behind the value is part of it.
func TestCommentsBehindValues(t *testing.T) {
	const why = "is part of the value, as in uWSGI: a comment has a line of its own"
	reader, err := newReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ lines, want string }{
		{"http-health = /up ; for the probe", `f.ini:3: warning: http-health: "; for the probe" ` + why},
		{"route-run = vassal:a   # all of it", `f.ini:3: warning: route-run: "# all of it" ` + why},
		{"http-to = 127.0.0.1:3031 weight=2 ; half of it", `got ";" ("; half of it" ` + why},
		{"https = :443,/a.crt,/a.key  ; for all", `f.ini:3: warning: https: "; for all" ` + why},
		{"add-header = X-A: b ; c", ""},
		{"route-run = addheader:X-A: b ; c", ""},
		{"route-if = equal:${REQUEST_METHOD};GET return:200", ""},
		{"module = x\nlogformat = a ; b", ""}, // uWSGI's
		{"command = sh -c \"a ; b\"", ""},
	} {
		if err := os.WriteFile("f.ini", []byte("[uwsgi]\nhttp = 127.0.0.1:8080\n"+test.lines+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := check(reader, emperor.Source{Args: []string{"f.ini"}, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if said := r.problems.String(); strings.Contains(said, why) != (test.want != "") || !strings.Contains(said, test.want) {
			t.Errorf("%s: %s, want %q", test.lines, said, test.want)
		}
	}
	if err := os.WriteFile("v.ini", []byte("[uwsgi]\ncommand = sleep 1\non-demand = true  ; at first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("f.ini", []byte("[uwsgi]\nemperor = v.ini\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := check(reader, emperor.Source{Args: []string{"f.ini"}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.survey.Vassals) != 1 || !strings.Contains(r.survey.Vassals[0].Problems.String(), why) {
		t.Errorf("a vassal's: %+v", r.survey.Vassals)
	}
}
