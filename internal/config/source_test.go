package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestArticle is the configuration this program was made for.
func TestArticle(t *testing.T) {
	set, err := NewSet([]Option{{Name: "emperor", Repeat: true}, {Name: "vassal-set", Type: KeyValue, Repeat: true},
		{Name: "http", Type: Address, Repeat: true}, {Name: "route-host", Repeat: true}})
	if err != nil {
		t.Fatal(err)
	}
	c, problems, dir := load(t, false, map[string]string{"f.ini": `[uwsgi]
emperor    = %dvassals.d/*.ini
vassal-set = env=LANG=C.UTF-8
# HTTP listener on port 8080
http       = :8080
route-host = ^www\.example\.com$ uwsgi:/tmp/uwsgi_example_vassal.sock,0,0
route-host = ^([-\w]+)\.example\.com$ uwsgi:/tmp/uwsgi_$1.sock,0,0
`}, func(r *Request) { r.Set = set })
	want := "emperor=" + dir + `/vassals.d/*.ini; vassal-set=env=LANG=C.UTF-8; http=:8080; ` +
		`route-host=^www\.example\.com$ uwsgi:/tmp/uwsgi_example_vassal.sock,0,0; ` +
		`route-host=^([-\w]+)\.example\.com$ uwsgi:/tmp/uwsgi_$1.sock,0,0`
	if got := listValues(c); got != want || len(problems) != 0 {
		t.Errorf("got  %s\nwant %s\n%s", got, want, problems)
	}
	if v := c.All("route-host")[1]; v.Pos.String() != "f.ini:7" {
		t.Errorf("position %s", v.Pos)
	}
}

// TestSources: the kinds of file name a main file may use, and what goes wrong.
func TestSources(t *testing.T) {
	tests := []struct{ text, want, problem string }{
		{"env = A=@(exec://echo a; exit 3)\n", "env=A=a", "f.ini:2: env: exec://echo a; exit 3: exit status 3; what it wrote is used"},
		{"env = A=@(exec://head -c 5000000 /dev/zero)\n", "env=A=@(exec://head -c 5000000 /dev/zero)", "f.ini:2: env: exec://head -c 5000000 /dev/zero: wrote more than 4 MiB"},
		{"env = A=@(/dev/zero)\n", "env=A=@(/dev/zero)", "f.ini:2: env: cannot read /dev/zero: more than 4 MiB"},
		{"env = A=@(/dev/null)\n", "env=A=", ""},
		{"env = A=@(fd://x)\n", "env=A=@(fd://x)", "f.ini:2: env: fd://x: want fd://NUMBER"},
		{"env = A=@(fd://999999)\n", "env=A=@(fd://999999)", "f.ini:2: env: fd://999999: bad file descriptor"},
		{"include = long.ini\n", "", "long.ini: more than 100000 lines"},
		{"early-envdir = nope\n", "", "f.ini:2: early-envdir: cannot read the directory "},
		{"for-readline = nope\nenv = A=1\nend\n", "", "f.ini:2: for-readline: cannot read nope"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			c, problems, _ := load(t, false, map[string]string{"f.ini": "[uwsgi]\n" + test.text,
				"long.ini": "[uwsgi]\n" + strings.Repeat("\n", maxEntries)}, nil)
			if got := listValues(c); got != test.want {
				t.Errorf("values %q, want %q", got, test.want)
			}
			problem := ""
			if len(problems) > 0 {
				problem = problems[0].Error()
			}
			if !strings.HasPrefix(problem, test.problem) || test.problem == "" && problem != "" {
				t.Errorf("problem %q, want %q", problem, test.problem)
			}
		})
	}
}

// TestDescriptors: a main file by fd://N, and by a pipe's path as a shell's
// <(command) gives it.
func TestDescriptors(t *testing.T) {
	for _, name := range []string{"fd://%d", "/dev/fd/%d"} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(writer, "[uwsgi]\nhttp = :1\n")
		writer.Close()
		raw, err := reader.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var c *Config
		var problems Problems
		_ = raw.Control(func(fd uintptr) {
			c, problems, _ = load(t, false, nil, func(r *Request) {
				r.File, r.Args = "", []string{"--ini", fmt.Sprintf(name, fd)}
			})
		})
		if got := listValues(c); got != "http=:1" || len(problems) != 0 {
			t.Errorf("%s: %s\n%s", name, got, problems)
		}
		reader.Close()
	}
}

// TestSymlink: a copy by symbolic link has its own %n, but not its own %p folder
// when a folder on the way is the link.
func TestSymlink(t *testing.T) {
	c, _, dir := load(t, true, map[string]string{"real/f.ini": "[uwsgi]\nenv = %n %d\n"}, func(r *Request) {
		if err := os.Symlink("real/f.ini", filepath.Join(r.Dir, "copy.ini")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("real", filepath.Join(r.Dir, "folder")); err != nil {
			t.Fatal(err)
		}
		r.File = "copy.ini"
		r.IncludeAfter = []Value{{Value: "folder/f.ini"}}
	})
	if got, want := listValues(c), fmt.Sprintf("env=copy %s/; env=f %s/real/", dir, dir); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPipeWithoutWriter: nobody at the other end holds nobody here.
func TestPipeWithoutWriter(t *testing.T) {
	_, problems, _ := load(t, false, nil, func(r *Request) {
		if err := unix.Mkfifo(filepath.Join(r.Dir, "f.ini"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if problems.Err() == nil {
		t.Error("an empty pipe is a configuration")
	}
}

func TestGlobBudget(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("d%d/f", i%3)+fmt.Sprint(i)] = ""
	}
	writeFiles(t, dir, files)
	if matches, complete := glob(dir, "d*/f?", 1000); len(matches) != 10 || !complete || matches[0] != "d0/f0" {
		t.Errorf("%v %v", matches, complete)
	}
	if _, complete := glob(dir, "*/*", 12); complete {
		t.Error("a spent budget is not reported")
	}
}
