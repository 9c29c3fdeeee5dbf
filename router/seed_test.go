package router

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"emperor/internal/config"
	"emperor/internal/link"
)

// TestSeed001 reads the article's configuration line by line, as a user would
// type it in, and checks after each what the file beside it expects.
func TestSeed001(t *testing.T) {
	const file = "../testdata/seeds/001.tsv"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set, err := config.NewSet(Options, []config.Option{{Name: "emperor", Type: config.String, Repeat: true}})
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(t)
	main := filepath.Join(t.TempDir(), "uwsgi.ini")
	written := "[uwsgi]\n"
	read := func() *config.Config {
		t.Helper()
		if err := os.WriteFile(main, []byte(written), 0o600); err != nil {
			t.Fatal(err)
		}
		c, problems := config.Load(config.Request{Set: set, File: main})
		if len(problems) > 0 {
			t.Fatalf("%q: %v", written, problems)
		}
		return c
	}
	// The article's sockets, but not at the article's places: this machine may
	// have them. A row of the table leads to where they really are.
	sockets := map[string]*vassal{}
	for _, name := range []string{"/tmp/uwsgi_example_vassal.sock", "/tmp/uwsgi_site.sock"} {
		v := uwsgiVassal(t, answering(okResponse))
		sockets[name] = v
		f.vassals(link.Vassal{Name: name, State: link.Ready, Generation: 1, Addresses: []link.Address{{Address: name, Protocol: "uwsgi"}}})
		to := &f.table.at([]byte(name)).current.Load().targets[0]
		if err := to.address.Parse([]byte(v.address)); err != nil {
			t.Fatal(err)
		}
	}
	lines, requests := 0, 0
	for n, line := range strings.Split(string(text), "\n") {
		where := file + ":" + strconv.Itoa(n+1)
		columns := strings.Split(line, "\t")
		switch columns[0] {
		case "line":
			lines++
			written += columns[1] + "\n"
			configuration, problems := ReadConfiguration(read())
			if len(problems) > 0 {
				t.Fatalf("%s: %v", where, problems)
			}
			var options []string
			for _, o := range configuration.Options {
				options = append(options, o.Key+" = "+o.Value)
			}
			if err := f.configure(options...); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
		case "option":
			v, ok := read().Last(columns[1])
			if want := strings.ReplaceAll(columns[2], "{dir}", filepath.Dir(main)); !ok || filepath.Clean(v.Value) != filepath.Clean(want) {
				t.Errorf("%s: %s is %q, want %q", where, columns[1], v.Value, want)
			}
		case "request":
			requests++
			before := map[string]int{}
			for name, v := range sockets {
				before[name] = len(v.calls())
			}
			r := f.ask(get(columns[1]))
			if strconv.Itoa(r.StatusCode) != columns[2] {
				t.Errorf("%s: %s got %d %q, want %s", where, columns[1], r.StatusCode, r.text, columns[2])
			}
			for name, v := range sockets {
				seen := v.calls()[before[name]:]
				if want := name == columns[3]; (len(seen) == 1) != want || len(seen) > 1 {
					t.Errorf("%s: %s got %d requests", where, name, len(seen))
				} else if want {
					if got := strconv.Itoa(int(seen[0].modifier1)) + "," + strconv.Itoa(int(seen[0].modifier2)); got != columns[4] {
						t.Errorf("%s: modifiers %s, want %s", where, got, columns[4])
					}
				}
			}
		default:
			if line != "" && line[0] != '#' {
				t.Errorf("%s: %q is no row", where, line)
			}
		}
	}
	if lines != 5 || requests < 15 {
		t.Errorf("only %d lines and %d requests", lines, requests)
	}
}

// TestCaptureStaysInItsDirectory: row 97, which the article's own pattern can't
// meet.
func TestCaptureStaysInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/uwsgi_d", 0o700); err != nil {
		t.Fatal(err)
	}
	outside := newVassal(t, "uwsgi", "unix", dir+"/evil.sock", answering(okResponse))
	f := newFront(t, `route-uri = ^/to/([^?]+)$ uwsgi:`+dir+`/uwsgi_$1.sock,0,0`, `route-host = ^(.+)\.loose\.com$ uwsgi:`+dir+`/uwsgi_$1.sock,0,0`)
	for _, request := range []string{
		"GET /to/d/../evil HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /to/.. HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: d/../evil.loose.com\r\n\r\n",
	} {
		if r := f.ask(request); r.StatusCode != 400 {
			t.Errorf("%q got %d, want 400", request, r.StatusCode)
		}
	}
	if n := outside.accepted.Load(); n > 0 {
		t.Errorf("%d connections left the directory", n)
	}
}
