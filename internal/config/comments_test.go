package config

import (
	"strings"
	"testing"
)

// TestCommentsBehindValues: whoever writes one is told, with the mistake that it makes
// or, where it makes none, by a warning.
func TestCommentsBehindValues(t *testing.T) {
	at := func(line int) Pos { return Pos{File: "f.ini", Line: line} }
	values := []Value{
		{Key: "idle", Value: "300   ; five minutes", Pos: at(1)},
		{Key: "health", Value: "/up # for the probe", Pos: at(2)},
		{Key: "header", Value: "Set-Cookie: a=b; Path=/", Pos: at(3)},
		{Key: "route", Value: "equal:a;b", Pos: at(4)},
		{Key: "colour", Value: "#fff", Pos: at(5)},
		{Key: "command", Value: "sh -c 'a ; b'", Pos: at(6)},
		{Key: "long", Value: "x ; " + strings.Repeat("y", 100), Pos: at(7)},
		{Key: "health", Value: "/up ; said on the command line"},
	}
	problems := Problems{
		{Pos: at(1), Key: "idle", Text: "want seconds"},
		{Pos: at(1), Key: "idle", Text: "and again"},
		{Pos: at(3), Key: "header", Text: "something else"},
	}
	got := problems.WithComments(values, func(v Value) bool { return v.Key != "command" }).String()
	const behind = " is part of the value, as in uWSGI: a comment has a line of its own"
	want := `f.ini:1: idle: want seconds ("; five minutes"` + behind + `)
f.ini:1: idle: and again
f.ini:3: header: something else
f.ini:2: warning: health: "# for the probe"` + behind + `
f.ini:7: warning: long: "; ` + strings.Repeat("y", 38) + `…"` + behind
	if strings.TrimSpace(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if problems[0].Text != "want seconds" {
		t.Error("the problems that were given have changed")
	}
}
