package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// people is an Opener of a folder with a file for each of them: who wrote a file
// is told by the beginning of its name.
type people struct {
	dir    string
	opened []string // "NAME as WHO", of files that are not known by heart
}

const (
	alice  Author = 1
	bob    Author = 2
	nobody Author = 3
)

var peopleNames = map[Author]string{0: "root", alice: "alice", bob: "bob", nobody: "nobody"}

func (p *people) note(path string, by Author) {
	p.opened = append(p.opened, fmt.Sprintf("%s as %s", strings.TrimPrefix(path, p.dir+"/"), peopleNames[by]))
}

func (p *people) Open(path string, by Author) (*os.File, Author, error) {
	p.note(path, by)
	file, err := os.Open(path)
	author := by
	for who, name := range peopleNames {
		if by == 0 && strings.HasPrefix(filepath.Base(path), name) {
			author = who
		}
	}
	return file, author, err
}

func (p *people) Look(path string, by Author, f func()) {
	if strings.Contains(path, "tested") {
		p.note(path, by)
	}
	f()
}

func (p *people) Both(a, b Author) Author { return nobody }

// Whatever a line is made of, its files are opened with the rights of the one of
// its authors who is not root; two of these together are nobody.
func TestAuthors(t *testing.T) {
	all := map[string]string{
		"root.ini":  "[uwsgi]\ninclude = secret.ini\n",
		"root.list": "secret.ini\n", "alice.list": "secret.ini\n", "bob.list": "secret.ini\n",
		"secret.ini":   "[uwsgi]\nsecret = 1\n",
		"env/PATHNAME": "secret.ini\n",
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		after []string // vassals-include
		want  string
	}{
		{"root's own", map[string]string{"root.ini": "[uwsgi]\ninclude = secret.ini\nif-exists = tested\nendif =\n"}, nil, "root"},
		{"a line of alice's", map[string]string{"alice.ini": "[uwsgi]\ninclude = secret.ini\n"}, nil, "alice"},
		{"another spelling", map[string]string{"alice.ini": "[uwsgi]\nini = secret.ini\n"}, nil, "alice"},
		{"applied late", map[string]string{"alice.ini": "[uwsgi]\ninherit = secret.ini\n"}, nil, "alice"},
		{"set", map[string]string{"alice.ini": "[uwsgi]\nset = include=secret.ini\n"}, nil, "alice"},
		{"root's file, which alice's includes", map[string]string{"alice.ini": "[uwsgi]\ninclude = root.ini\n"}, nil, "alice"},
		{"bob's file, which alice's includes", map[string]string{"alice.ini": "[uwsgi]\ninclude = bob.ini\n", "bob.ini": "[uwsgi]\ninclude = secret.ini\n"}, nil, "alice"},
		{"alice's file, which root's includes", map[string]string{"root.vassal.ini": "[uwsgi]\ninclude = alice.ini\n", "alice.ini": "[uwsgi]\ninclude = secret.ini\n"}, nil, "alice"},
		{"root's after alice's", map[string]string{"alice.ini": "[uwsgi]\nx = 1\n"}, []string{"root.ini"}, "root"},
		{"alice's placeholder in root's line", map[string]string{"alice.ini": "[uwsgi]\nx = secret\n", "root.after.ini": "[uwsgi]\ninherit = %(x).ini\n"}, []string{"root.after.ini"}, "alice"},
		{"by way of another placeholder", map[string]string{"alice.ini": "[uwsgi]\nx = secret\n", "root.after.ini": "[uwsgi]\ny = %(x)\ninherit = %(y).ini\n"}, []string{"root.after.ini"}, "alice"},
		{"only a placeholder", map[string]string{"alice.ini": "[uwsgi]\nset-ph = x=secret\n", "root.after.ini": "[uwsgi]\ninherit = %(x).ini\n"}, []string{"root.after.ini"}, "alice"},
		{"alice's and bob's", map[string]string{"root.vassal.ini": "[uwsgi]\ninclude = alice.ini\ninclude = bob.ini\n", "alice.ini": "[uwsgi]\nx = secret\n", "bob.ini": "[uwsgi]\ninherit = %(x).ini\n"}, nil, "nobody"},
		{"alice's block around root's line", map[string]string{"root.vassal.ini": "[uwsgi]\ninclude = alice.ini\ninclude = %(_).ini\n", "alice.ini": "[uwsgi]\nfor = secret\n"}, nil, "alice"},
		{"a list of alice's in root's loop", map[string]string{"root.vassal.ini": "[uwsgi]\nfor-readline = alice.list\ninclude = %(_)\nendfor =\n"}, nil, "alice"},
		{"a list of root's in alice's loop", map[string]string{"alice.ini": "[uwsgi]\nfor-readline = root.list\ninclude = %(_)\nendfor =\n"}, nil, "alice"},
		{"alice's option in root's line", map[string]string{"alice.ini": "[uwsgi]\ndeclare-option = conf=include=$1\n", "root.after.ini": "[uwsgi]\nconf = secret.ini\n"}, []string{"root.after.ini"}, "alice"},
		{"alice's option in root's test", map[string]string{"alice.ini": "[uwsgi]\nx = secret.ini\n", "root.after.ini": "[uwsgi]\nif-opt = x\ninclude = %(_)\nendif =\n"}, []string{"root.after.ini"}, "alice"},
		{"alice's variable in root's line", map[string]string{"alice.ini": "[uwsgi]\nearly-envdir = env\n", "root.after.ini": "[uwsgi]\ninherit = $(PATHNAME)\n"}, []string{"root.after.ini"}, "alice"},
		{"alice's variable as a default", map[string]string{"alice.ini": "[uwsgi]\nearly-envdir = env\n", "root.after.ini": "[uwsgi]\ninherit = $(PATHNAME:-no.ini)\n"}, []string{"root.after.ini"}, "alice"},
		{"alice's variable in root's test", map[string]string{"alice.ini": "[uwsgi]\nearly-envdir = env\n", "root.after.ini": "[uwsgi]\nif-env = PATHNAME\ninclude = %(_)\nendif =\n"}, []string{"root.after.ini"}, "alice"},
		{"injected by alice", map[string]string{"alice.ini": "[uwsgi]\ninject-after = alice.part\n", "alice.part": "[uwsgi]\nfor-readline = secret.ini\nz = %(_)\nendfor =\n", "root.after.ini": "[uwsgi]\ny = 1\n"}, []string{"root.after.ini"}, "alice"},
		{"alice injects root's text", map[string]string{"alice.ini": "[uwsgi]\ninject-before = root.part\n", "root.part": "[uwsgi]\nfor-readline = secret.ini\nz = %(_)\nendfor =\n", "root.after.ini": "[uwsgi]\ny = 1\n"}, []string{"root.after.ini"}, "alice"},
		{"tested by alice", map[string]string{"alice.ini": "[uwsgi]\nif-exists = tested1\nendif =\nif-file = tested2\nendif =\nif-dir = tested3\nendif =\nfor-glob = tested*\nendfor =\ninclude = secret.ini\n"}, nil, "alice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			vassal := "root.vassal.ini"
			for _, files := range []map[string]string{all, test.files} {
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
			if _, ok := test.files[vassal]; !ok {
				vassal = "alice.ini"
			}
			if _, ok := test.files[vassal]; !ok {
				vassal = "root.ini"
			}
			opener := &people{dir: dir}
			var after []Value
			for _, file := range test.after {
				after = append(after, Value{Value: file})
			}
			_, problems := Load(Request{File: vassal, Dir: dir, Vassal: true, Env: []string{"A=b"}, IncludeAfter: after, Opener: opener})
			if problems.Err() != nil {
				t.Fatal(problems)
			}
			if !slices.Contains(opener.opened, "secret.ini as "+test.want) {
				t.Errorf("secret.ini is not opened as %s: %q", test.want, opener.opened)
			}
			for _, what := range opener.opened {
				name, who, _ := strings.Cut(what, " as ")
				if (name == "secret.ini" || strings.HasPrefix(name, "tested")) && who != test.want {
					t.Errorf("%s, want it as %s", what, test.want)
				}
			}
		})
	}
}
