package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestPairsOneByOne: what is wrong with one pair harms its names only, from the start
// on, and ends when it is put right; pairs may come late, be spelled relatively, and
// go. Keys are readable by root only, and the router is somebody else.
func TestPairsOneByOne(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.certify("default", 1, "default.test")
	m.certify("rel", 2, "rel.test")
	m.certify("broken", 3, "broken.test")
	_, other := pair(t, 9, "broken.test")
	m.put(m.path("broken.key"), other)
	for _, folder := range []string{"re", "names"} {
		if err := os.Mkdir(m.path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.certify("names/half.test", 7, "half.test")
	m.remove("names/half.test.key")
	m.write("main.ini", `[uwsgi]
https = 127.0.0.1:PORT,DIR/default.crt,DIR/default.key
sni = broken.test DIR/broken.crt,DIR/broken.key
sni = missing.test DIR/missing.crt,DIR/missing.key
sni = DIR/nameless.crt,DIR/nameless.key
sni = rel.test rel.crt,rel.key
sni-regexp = ^(\w+)\.re\.test$ DIR/re/$1.crt,DIR/re/$1.key
sni-dir = DIR/names
route-run = return:200
`)
	m.start("main.ini")
	m.waitReady()
	// Before anybody connects.
	m.waitLog(0, "a certificate cannot be loaded", "broken.crt", "broken.key", "broken.test")
	if line := m.waitLog(0, "a certificate cannot be loaded", "missing.crt", "no such file"); strings.Contains(line, "does not exist") {
		t.Errorf("said twice: %s", line)
	}
	m.waitLog(0, "main.ini:5: ", "sni: ", "nameless.crt")
	m.waitLog(0, "main.ini:8: ", "sni-dir: ", "half.test.crt: there is no half.test.key beside it")
	shows := func(name string, want int64) {
		t.Helper()
		m.eventually(fmt.Sprintf("%s shows certificate %d", name, want), func() bool { got, _ := m.shown(name); return got == want })
	}
	for name, want := range map[string]int64{"rel.test": 2, "broken.test": 1, "missing.test": 1, "nameless.test": 1, "x.re.test": 1, "half.test": 1} {
		if got, err := m.shown(name); got != want || err != nil {
			t.Errorf("%s: certificate %d, %v; want %d", name, got, err, want)
		}
	}
	if os.Getuid() == 0 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pidOf("router --link")))
		if err != nil || strings.Contains(string(status), "Uid:\t0\t") {
			t.Errorf("the router is root, %v", err)
		}
	}
	// What was wrong is put right, what was not there comes.
	m.certify("broken", 13, "broken.test")
	m.certify("missing", 14, "missing.test")
	m.certify("nameless", 15, "nameless.test", "www.nameless.test")
	m.certify("re/x", 16, "x.re.test")
	m.certify("names/half.test", 17, "half.test")
	for name, want := range map[string]int64{"broken.test": 13, "missing.test": 14, "nameless.test": 15, "www.nameless.test": 15, "x.re.test": 16, "half.test": 17} {
		shows(name, want)
	}
	// They are replaced.
	m.certify("rel", 22, "rel.test")
	m.certify("nameless", 25, "nameless.test", "also.nameless.test")
	m.certify("re/x", 26, "x.re.test")
	for name, want := range map[string]int64{"rel.test": 22, "nameless.test": 25, "also.nameless.test": 25, "www.nameless.test": 1, "x.re.test": 26} {
		shows(name, want)
	}
	// One whose file is broken keeps what it had, names and all.
	mark := m.mark()
	m.put(m.path("nameless.crt"), "no certificate")
	m.waitLog(mark, "main.ini:5: ", "nameless.crt")
	for range 3 {
		if got, err := m.shown("also.nameless.test"); got != 25 || err != nil {
			t.Errorf("after its file was broken: certificate %d, %v", got, err)
		}
	}
	// Files that go unload.
	for _, name := range []string{"rel.crt", "rel.key", "re/x.crt", "re/x.key"} {
		m.remove(name)
	}
	shows("rel.test", 1)
	shows("x.re.test", 1)
	if got, err := m.shown("broken.test"); got != 13 || err != nil {
		t.Errorf("of others: certificate %d, %v", got, err)
	}
}
