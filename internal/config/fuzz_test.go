package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad: whatever a file says, Load ends, does not panic, and gives every
// problem a place; a vassal's file never opens anything but regular files. A main
// file's programs and URLs are left out here: they would be run.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"[uwsgi]\nemperor = %dvassals.d/*.ini\nvassal-set = env=LANG=C.UTF-8\nhttp = :8080\nroute-host = ^([-\\w]+)\\.example\\.com$ uwsgi:/tmp/uwsgi_$1.sock,0,0\n",
		"[uwsgi]\na = %(b)\nb = %(a)\nc = %(d + 1 ++ / 0)\nd = %(c)%(c)\n",
		"[uwsgi]\nfor = a b\nfor-times = 9\ninclude = f.ini\nx = %(_)\nend\nend\n",
		"[uwsgi]\nfor-times = 100000\nfor-glob = *\ny=%(_)\n",
		"[uwsgi]\nif-env = B\nset = a=b\nset-ph = q=%(a)\nelse\nendif\ninherit = f.ini:s\n[s]\nini = :uwsgi\n",
		"[uwsgi]\ndeclare-option = x=x=$1 $1;y=$2\nx = a b\ndeclare-option2 = z=include=$1\nz = f.ini\n",
		"[uwsgi]\nblacklist = a\na=1\nwhitelist = b\nb = $(B) $(NO:-x) @(f.ini) @(exec://true)\nstrict\n",
		"[uwsgi]\ninject-before = f.ini\ninclude = g.ini\nhttp-timeout = -\nchmod-socket = 9\nhttp = [::1\n%n%x% \n",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	set := uwsgiSet(f)
	f.Fuzz(func(t *testing.T, text string, vassal bool) {
		if len(text) > 1<<14 || strings.Contains(text, "/") || strings.Contains(text, "..") {
			return // nothing outside the directory
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f.ini"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		l := newLoader(Request{Set: set, File: "f.ini", Dir: dir, Env: []string{"B=bee"}, Vassal: vassal})
		l.readSource = func(l *loader, source string, e *entry) ([]byte, Author, bool) {
			if scheme(source) != "" || source == "-" {
				if vassal {
					t.Errorf("a vassal's file opens %q", source)
				}
				return nil, 0, false
			}
			return l.readPlain(source, e.pos, e.key, e.by)
		}
		c, problems := l.load()
		for _, p := range problems {
			if p.Pos.File == "" || p.Text == "" {
				t.Errorf("a problem without place or text: %q", p.Error())
			}
		}
		for _, v := range c.Values {
			if o, known := set.Lookup(v.Key); known && o.Name != v.Key {
				t.Errorf("%s is not canonical", v.Key)
			}
		}
	})
}
