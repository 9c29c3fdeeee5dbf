package config

import (
	"strings"
	"testing"
	"time"
)

func TestNewSet(t *testing.T) {
	stand := Option{Name: "stats", Aliases: []string{"stats-server"}, Ignored: "later"}
	tests := []struct {
		name    string
		groups  [][]Option
		problem string
	}{
		{"twice the same", [][]Option{{{Name: "uid", Where: Main}}, {{Name: "uid", Where: Vassal}}}, ""},
		{"differently", [][]Option{{{Name: "port", Type: Int}}, {{Name: "port"}}}, `option "port" (text) is declared twice and differently: the other is "port" (number)`},
		{"stand-in first", [][]Option{{stand}, {{Name: "stats", Type: Address}}}, ""},
		{"stand-in last", [][]Option{{{Name: "stats", Type: Address}}, {stand}}, ""},
		{"stand-in under the alias", [][]Option{{stand}, {{Name: "stats-server", Type: Address}}}, ""},
		{"alias of two", [][]Option{{{Name: "a1", Aliases: []string{"x"}}, {Name: "b1", Aliases: []string{"x"}}}}, `"x" is an alias of option "b1" and belongs to "a1" too`},
		{"letter of two", [][]Option{{{Name: "a1", Short: 'q'}, {Name: "b1", Short: 'q'}}}, `-q is short for option "a1" and for "b1"`},
		{"letter of a stand-in", [][]Option{{{Name: "a1", Short: 'q', Ignored: "x"}, {Name: "b1", Short: 'q'}}}, ""},
		{"the language's own", [][]Option{{{Name: "ini", Type: Int}}}, ""},
		{"no name", [][]Option{{{}}}, "option without a name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := NewSet(test.groups...)
			switch {
			case test.problem == "" && err != nil:
				t.Error(err)
			case test.problem != "" && (err == nil || !strings.HasPrefix(err.Error(), test.problem)):
				t.Errorf("got %v, want %s", err, test.problem)
			}
			if err != nil {
				return
			}
			for i, o := range set.All() {
				if i > 0 && set.All()[i-1].Name >= o.Name {
					t.Errorf("%s after %s", o.Name, set.All()[i-1].Name)
				}
				if found, ok := set.Lookup(o.Name); !ok || found.Name != o.Name {
					t.Errorf("Lookup(%s) = %s", o.Name, found.Name)
				}
			}
			if o, ok := set.Lookup("stats"); ok && test.name != "stand-in under the alias" && o.Type != Address {
				t.Error("the stand-in won")
			}
			if o, ok := set.Lookup("uid"); ok && o.Where != Both {
				t.Error("a shared option has a meaning in both places")
			}
			if o, _ := set.Lookup("ini"); o.Type != String {
				t.Error("a directive of the language was redeclared")
			}
		})
	}
}

func TestTypedValues(t *testing.T) {
	set, err := NewSet([]Option{
		{Name: "b", Type: Bool}, {Name: "yes", Type: Bool, Default: "true"},
		{Name: "i", Type: Int, Default: "7"}, {Name: "bounded", Type: Int, Min: 2, Max: 5}, {Name: "negative", Type: Int, Min: -3},
		{Name: "keep", Type: Int, Argument: Optional, Default: "1"},
		{Name: "s", Type: Seconds, Default: "60"}, {Name: "ms", Type: Milliseconds},
		{Name: "size", Type: Size}, {Name: "mega", Type: Megabytes}, {Name: "mode", Type: Mode}, {Name: "text", Default: "d"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		key, value string
		want       any
		problem    string
	}{
		{"b", "true", true, ""}, {"b", "YES", true, ""}, {"b", "", true, ""}, {"b", "off", false, ""}, {"b", "No", false, ""}, {"b", "0", false, ""}, {"b", "2", true, "want true or false, got '2'"},
		{"i", "12", int64(12), ""}, {"i", "+1", int64(7), "want a number, got '+1'"}, {"i", "99999999999999999999", int64(7), "want a number, got '99999999999999999999'"}, {"i", "1.5", int64(7), "want a number, got '1.5'"},
		{"bounded", "6", int64(0), "want a number from 2 to 5, got 6"}, {"bounded", "1", int64(0), "want a number from 2 to 5, got 1"}, {"bounded", "5", int64(5), ""},
		{"negative", "-3", int64(-3), ""}, {"negative", "-4", int64(0), "want a number, at least -3, got -4"},
		{"keep", "true", int64(1), ""}, {"keep", "", int64(1), ""}, {"keep", "off", int64(0), ""}, {"keep", "30", int64(30), ""},
		{"s", "5", 5 * time.Second, ""}, {"s", "5s", time.Minute, "want seconds, got '5s'"}, {"s", "9223372037", time.Minute, "want seconds, got '9223372037', which is too large"},
		{"ms", "250", 250 * time.Millisecond, ""},
		{"size", "64k", int64(65536), ""}, {"size", "2 M", int64(2 << 20), ""}, {"size", "1g", int64(1 << 30), ""}, {"size", "k", int64(0), "want bytes (or a number with k, m or g), got 'k'"}, {"size", "9999999999g", int64(0), "want bytes (or a number with k, m or g), got '9999999999g', which is too large"},
		{"mega", "3", int64(3 << 20), ""},
		{"mode", "660", "-rw-rw----", ""}, {"mode", "0644", "-rw-r--r--", ""}, {"mode", "", "-rw-rw-rw-", ""}, {"mode", "1", "-rw-rw-rw-", ""}, {"mode", "66", nil, "want a file mode of three octal digits such as 660, got '66'"},
		{"text", "x", "x", ""},
	}
	for _, test := range tests {
		o, _ := set.Lookup(test.key)
		v := Value{Key: test.key, Value: test.value, HasValue: true}
		if got := check(o, v); got != test.problem {
			t.Errorf("%s = %s: problem %q, want %q", test.key, test.value, got, test.problem)
		}
		c := FromValues(set, "f.ini", []Value{v})
		var got any
		switch o.Type {
		case Bool:
			got = c.Bool(test.key)
		case Seconds, Milliseconds:
			got = c.Seconds(test.key)
		case Size, Megabytes:
			got = c.Size(test.key)
		case Mode:
			if mode, ok := c.Mode(test.key); ok {
				got = mode.String()
			}
		case String:
			got = c.Text(test.key)
		default:
			got = c.Int(test.key)
		}
		if got != test.want {
			t.Errorf("%s = %s: got %v, want %v", test.key, test.value, got, test.want)
		}
	}
	empty := FromValues(set, "", nil)
	if !empty.Bool("yes") || empty.Bool("b") || empty.Int("i") != 7 || empty.Seconds("s") != time.Minute || empty.Text("text") != "d" || empty.Has("i") {
		t.Error("defaults")
	}
	if _, ok := empty.Mode("mode"); ok {
		t.Error("a mode without line and default")
	}
}

func TestAddress(t *testing.T) {
	for _, good := range []string{":8080", "8080", "127.0.0.1:80", "[::1]:8080", "[::]:443", "/run/x.sock", "x.sock", "@abstract", "fd://3", "fd://http", "example.com:80", "=0", "127.0.0.*:3031"} {
		if problem := checkAddress(good); problem != "" {
			t.Errorf("%s: %s", good, problem)
		}
	}
	for _, bad := range []string{"", ":", ":x", ":65536", "::1:80", "[::1]", "[::1:80", "[1.2.3.4]:80", "70000", "a:-1", "a\x00b"} {
		if checkAddress(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestSuggest(t *testing.T) {
	candidates := []string{"processes", "http-timeout", "socket", "env", "uid", "route-host", "routehost-x"}
	for name, want := range map[string]string{
		"proceses": "processes", "porcesses": "processes", "http_timeout": "http-timeout", "Socket": "socket",
		"sockets": "socket", "envv": "env", "xy": "", "banana": "", "route-hots": "route-host", "": "",
	} {
		if got := suggest(name, candidates); got != want {
			t.Errorf("suggest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestLanguageIsComplete(t *testing.T) {
	set, err := NewSet()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []map[string]func(*loader, *entry){immediate, deferred} {
		for name := range table {
			if o, ok := set.Lookup(name); !ok || o.Help == "" {
				t.Errorf("%s acts and is not declared with a help text", name)
			}
		}
	}
	for _, o := range Language {
		if !consumed(o.Name) && o.Ignored == "" && o.Name != "else" {
			t.Errorf("%s is declared and does nothing", o.Name)
		}
	}
}
