package uini

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testMagic = Magic{Values: map[byte]string{'n': "blog", 'd': "/srv/v/", 't': "17", 'x': ""}, Volatile: "t"}

// TestParse pins the grammar of uWSGI 2.0.21 as it was observed (the rows are the
// table of its core/ini.c) and where a mistake is reported.
func TestParse(t *testing.T) {
	tests := []struct {
		name, text, section string
		want                string // "key=value@line" per directive, "!" for a key without "="
		mistakes            string // lines, space separated
	}{
		{name: "plain", text: "[uwsgi]\nhttp = :8080\n", want: "http=:8080@2"},
		{name: "last line without newline", text: "[uwsgi]\na=1", want: "a=1@2"},
		{name: "CRLF", text: "[uwsgi]\r\na = 1\r\nmaster\r\n", want: "a=1@2 master!@3"},
		{name: "trimmed: space, tab, CR", text: "\t[uwsgi] \r\n \t a\t = \t1 \t\n", want: "a=1@2"},
		{name: "vertical tab, form feed and no-break space are data", text: "[uwsgi]\nk = \v5 \f\nn = x\u00a0\n", want: "k=\v5 \f@2 n=x\u00a0@3"},
		{name: "comments only at the start", text: "[uwsgi]\n; c\n # c\na = b ; c\nd = #fff\n", want: "a=b ; c@4 d=#fff@5"},
		{name: "lines before any section", text: "a=1\n[uwsgi]\nb=2\n", want: "b=2@3"},
		{name: "a section named DEFAULT is one like any other", text: "a=1\n[DEFAULT]\nb=2\n", section: "DEFAULT", want: "b=2@3"},
		{name: "reopened section", text: "[uwsgi]\na=1\n[other]\nb=2\n[uwsgi]\nc=3\n", want: "a=1@2 c=3@6"},
		{name: "order and repetition", text: "[uwsgi]\nb=1\na=2\nb=1\nb=\nb=1\n", want: "b=1@2 a=2@3 b=1@4 b=@5 b=1@6"},
		{name: "other section", text: "[uwsgi]\na=1\n[x.y]\nb=2\n", section: "x.y", want: "b=2@4"},
		{name: "a dot makes no child section", text: "[x]\na=1\n[x.y]\nb=2\n", section: "x.y", want: "b=2@4"},
		{name: "spaces in the name count", text: "[ uwsgi ]\na=1\n", section: " uwsgi ", want: "a=1@2"},
		{name: "first equals sign", text: "[uwsgi]\na=b=c\nenv = X=1\n", want: "a=b=c@2 env=X=1@3"},
		{name: "colon is data", text: "[uwsgi]\na:b = c:d\n", want: "a:b=c:d@2"},
		{name: "quotes are data", text: "[uwsgi]\na = \"x\"\nb = 'y'\nc = `z\nd = \"\"\"q\n\"k = v\n`e` = f\n", want: "a=\"x\"@2 b='y'@3 c=`z@4 d=\"\"\"q@5 \"k=v@6 `e`=f@7"},
		{name: "a backslash continues nothing", text: "[uwsgi]\na = x\\\nb = y\n", want: `a=x\@2 b=y@3`},
		{name: "indentation continues nothing", text: "[uwsgi]\na = x\n  b = y\n", want: "a=x@2 b=y@3"},
		{name: "case counts", text: "[uwsgi]\nA=1\na=2\n[UWSGI]\nb=1\n", want: "A=1@2 a=2@3"},
		{name: "keys the ini library finds special", text: "[uwsgi]\n- = 1\nd = 2\nd=0 x|\n", want: "-=1@2 d=2@3 d=0 x|@4"},
		{name: "values the ini library finds special", text: "[uwsgi]\na = %(x)s\nb = a|\nc = a\\;b\n", want: `a=%(x)s@2 b=a|@3 c=a\;b@4`},
		{name: "no key", text: "[uwsgi]\n= v\n", want: "=v@2", mistakes: "2"},
		{name: "byte order mark", text: byteOrderMark + "[uwsgi]\na=1\n", want: "a=1@2"},
		{name: "NUL ends the line's text", text: "[uwsgi]\nh =\x00 3\ni\x00=4\n\x00j=4\nk=1\n", want: "h=@2 i!@3 k=1@5", mistakes: "2 3 4"},
		{name: "header without bracket", text: "[uwsgix\na=1\n", want: "a=1@2", mistakes: "1"},
		{name: "header with a tail", text: "[uwsgi] ; front\na=1\n", section: "uwsgi] ; fron", want: "a=1@2", mistakes: "1"},
		{name: "only a bracket", text: "[uwsgi]\na=1\n[\nb=1\n", want: "a=1@2", mistakes: "3"},
		{name: "empty name", text: "[uwsgi]\na=1\n[]\nb=1\n", want: "a=1@2"},

		{name: "magic in values, keys, headers", text: "[%n]\n%n-%% = %d%n %t\n", section: "blog", want: "blog-%=/srv/v/blog 17@2~"},
		{name: "magic leaves placeholders", text: "[uwsgi]\na = %(b) %%(c)\n", want: "a=%(b) %(c)@2"},
		{name: "empty magic", text: "[uwsgi]\na = <%x>\n", want: "a=<>@2"},
		{name: "unknown magic deletes two bytes", text: "[uwsgi]\na = 100% done\n", want: "a=100done@2", mistakes: "2"},
		{name: "unknown magic in a comment is harmless", text: "[uwsgi]\n# 100% done\na=1\n", want: "a=1@3"},
		{name: "unknown magic in another section is harmless", text: "[x]\na = 5% x\n[uwsgi]\nb=1\n", want: "b=1@4"},
		{name: "percent swallows the newline", text: "[uwsgi]\na = 100%\nb = 2\nc = 3\n", want: "a=100b = 2@2 c=3@4", mistakes: "2"},
		{name: "also in a comment", text: "[uwsgi]\n# c%\nb = 2\nc = 3\n", want: "c=3@4", mistakes: "2"},
		{name: "percent before CR LF", text: "[uwsgi]\r\na = 1%\r\nb = 2\r\n", want: "a=1@2 b=2@3", mistakes: "2"},
		{name: "percent at the end", text: "[uwsgi]\na = 1%", want: "a=1@2", mistakes: "2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			section := test.section
			if section == "" {
				section = "uwsgi"
			}
			got, err := Parse(section, testMagic, Part{Name: "f.ini", Data: []byte(test.text)})
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, d := range got.Directives {
				sign, mark := "=", ""
				if !d.HasValue {
					sign = "!"
				}
				if d.Volatile {
					mark = "~"
				}
				list = append(list, fmt.Sprintf("%s%s%s@%d%s", d.Key, sign, d.Value, d.Line, mark))
			}
			if diff := cmp.Diff(test.want, strings.Join(list, " ")); diff != "" {
				t.Errorf("directives (-want +got):\n%s", diff)
			}
			var lines []string
			for _, m := range got.Mistakes {
				lines = append(lines, fmt.Sprint(m.Line))
			}
			if diff := cmp.Diff(test.mistakes, strings.Join(lines, " ")); diff != "" {
				t.Errorf("lines with mistakes (-want +got):\n%s\n%v", diff, got.Mistakes)
			}
			if model := modelSection([]byte(test.text), section, testMagic.Values); !cmp.Equal(model, pairs(got)) {
				t.Errorf("the model of core/ini.c reads %q", model)
			}
		})
	}
}

func pairs(s *Section) [][2]string {
	var out [][2]string
	for _, d := range s.Directives {
		out = append(out, [2]string{d.Key, d.Value})
	}
	return out
}

// TestParts: injected texts are read as one with the file, each line keeping its
// origin; a text without a final newline runs into the next.
func TestParts(t *testing.T) {
	got, err := Parse("uwsgi", testMagic,
		Part{Name: "before", Data: []byte("[uwsgi]\na=1\nb")},
		Part{Name: "main", Data: []byte("c=2\nd=3\n")},
		Part{Name: "after", Data: []byte("e=%n\n")})
	if err != nil {
		t.Fatal(err)
	}
	want := []Directive{
		{Key: "a", Value: "1", HasValue: true, File: "before", Line: 2},
		{Key: "bc", Value: "2", HasValue: true, File: "before", Line: 3},
		{Key: "d", Value: "3", HasValue: true, File: "main", Line: 2},
		{Key: "e", Value: "blog", HasValue: true, File: "after", Line: 1},
	}
	if diff := cmp.Diff(want, got.Directives); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFileNameCannotWriteConfiguration: a newline in a magic value starts no line.
func TestFileNameCannotWriteConfiguration(t *testing.T) {
	magic := Magic{Values: map[byte]string{'n': "x\nuid = root"}}
	got, err := Parse("uwsgi", magic, Part{Name: "f", Data: []byte("[uwsgi]\na = %n\n")})
	if err != nil || len(got.Directives) != 1 {
		t.Fatalf("got %v, %v", got.Directives, err)
	}
}

func TestHeaders(t *testing.T) {
	got, _ := Parse("uwsgi", Magic{}, Part{Data: []byte("[b]\n[a]\n[b]\n[ uwsgi]\n")})
	if diff := cmp.Diff([]string{"b", "a", " uwsgi"}, got.Headers); diff != "" || got.Has("uwsgi") || !got.Has("a") {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// FuzzParse: any bytes are read without a panic or an error, and as the model of
// core/ini.c reads them.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"[uwsgi]\nhttp = :8080\nroute-host = ^www\\.example\\.com$ uwsgi:/tmp/a.sock,0,0\n",
		"[uwsgi]\r\na\r\n[DEFAULT]\nb = `x\n[uwsgi\nc=%n% %\n", "[", "[]", "[x", "a=1\n[uwsgi]x\n=\n", "\xef\xbb\xbf[uwsgi]\na",
		"[uwsgi]\n\x00\na\x00=b\n;\x00\n#%\nq=1\n", "[uwsgi]\nk = \v x \f\u00a0\n", "[s%20]\n[uwsgi]\nd=7 x|\n-=\"\"\"\n", "[u%%wsgi]\n%(=%)\n",
	} {
		f.Add([]byte(seed), "uwsgi")
	}
	f.Fuzz(func(t *testing.T, data []byte, section string) {
		if section == "" || len(data) > 1<<16 {
			return
		}
		got, err := Parse(section, testMagic, Part{Name: "f", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(modelSection(data, section, testMagic.Values), pairs(got)); diff != "" {
			t.Errorf("(-model +got):\n%s", diff)
		}
		lines := strings.Count(string(data), "\n") + 1
		last := 0
		for _, d := range got.Directives {
			if d.Line <= last || d.Line > lines {
				t.Errorf("line %d after %d of %d", d.Line, last, lines)
			}
			last = d.Line
		}
	})
}
