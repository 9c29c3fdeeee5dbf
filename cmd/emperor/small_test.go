package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestLogForPeople(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(&lineHandler{out: &out})
	shop := log.With("vassal", "shop")
	log.Info("listening", "address", ":8080")
	shop.Warn("the old generation stays", "err", errors.New("exit status 1"), "gen", 2)
	shop.Info("a line\x1b[31m of its own\r", "from", "output", "gen", 2)
	shop.WithGroup("g").Error("grouped", "a", 1, slog.Group("h", "b", ""))
	log.Info("two\nlines", "k", "x\ny")
	log.Debug("not shown")
	want := `listening address=:8080
warn shop: the old generation stays err="exit status 1" gen=2
shop | a line\x1b[31m of its own\x0d
error shop: grouped g.a=1 g.h.b=""
two\x0alines k="x\ny"
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestJSONLog(t *testing.T) {
	var out bytes.Buffer
	log := newLog(&out, true)
	log.Info("ready", "vassal", "shop", "gen", 1)
	router := log.With("vassal", "router")
	router.Info("back", "gen", 2)
	router.Warn("vassal is not ready", "status", 503, "vassal", "shop")
	for i, want := range []string{
		`"msg":"ready","vassal":"shop","gen":1}`,
		`"msg":"back","vassal":"router","gen":2}`,
		`"msg":"vassal is not ready","vassal":"shop","status":503}`,
	} {
		if line := strings.Split(out.String(), "\n")[i]; !strings.HasSuffix(line, want) {
			t.Errorf("got %s, want … %s", line, want)
		}
	}
}

func TestWhichSocketsARuleOpens(t *testing.T) {
	for _, test := range []struct {
		target, address string
		want            bool
	}{
		{"/tmp/$1.sock", "/tmp/shop.sock", true},
		{"/tmp/$1.sock", "/tmp/a/shop.sock", false},
		{"/tmp/${name}.sock", "/tmp/shop.sock", true},
		{"/tmp/shop.sock", "/tmp/shop.sock", true},
		{"/tmp/shop.sock", "/tmp/shopXsock", false},
		{"127.0.0.1:300$1", "127.0.0.1:3005", true},
	} {
		if got := canBe(test.target, test.address); got != test.want {
			t.Errorf("%s and %s: %t", test.target, test.address, got)
		}
	}
}

func TestOptionsAreListedOnce(t *testing.T) {
	var out bytes.Buffer
	if err := runOptions([]string{"reload-mercy"}, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count("\n"+out.String(), "\nreload-mercy\n"); n != 1 || !strings.Contains(out.String(), "main file and vassal") {
		t.Errorf("got %s", out.String())
	}
	out.Reset()
	if err := runOptions(nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"\nemperor\n", "\nhttp (httprouter, http-socket, http11-socket)\n", "\nroute-host\n", "\ncommand\n", "\ninclude\n"} {
		if !strings.Contains("\n"+out.String(), name) {
			t.Errorf("%q is missing", name)
		}
	}
	out.Reset()
	if err := runOptions([]string{"http"}, &out); err != nil {
		t.Fatal(err)
	}
	listed := "\n" + out.String()
	if strings.Contains(listed, "\nhttprouter\n") || !strings.Contains(listed, "\nhttp-socket\n    text, repeatable, main file and vassal: ") {
		t.Errorf("aliases of http are listed as\n%s", listed)
	}
	for _, want := range []string{"\nhttp-post-buffering-dir\n    without effect in the main file: bodies"} {
		if !strings.Contains(listed, want) {
			t.Errorf("no %q among\n%s", want, listed)
		}
	}
	if err := runOptions([]string{"no-such-word"}, &out); err == nil {
		t.Error("a word that nothing has is no error")
	}
}

func TestNoOptionIsDeclaredTwice(t *testing.T) {
	if _, err := mainOptions(); err != nil {
		t.Error(err)
	}
}
