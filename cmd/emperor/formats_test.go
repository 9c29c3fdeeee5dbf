package main

import (
	"strings"
	"testing"
)

// The same vassal in each format that a real uWSGI reads beside ini.
var formats = map[string]string{
	"yaml": "uwsgi:\n  socket: DIR/%n.sock\n  plugin: python3\n  chdir: DIR\n  wsgi-file: DIR/webapp.py\n  processes: 2\n  threads: 4\n  disable-logging: true\n  env:\n    - A=1\n    - B=2\n  # END\n",
	"json": `{"uwsgi": {"socket": "DIR/%n.sock", "plugin": "python3", "chdir": "DIR", "wsgi-file": "DIR/webapp.py", "processes": 2, "threads": 4, "disable-logging": true, "env": ["A=1", "B=2"]}}` + "\n",
	"xml":  "<uwsgi>\n <socket>DIR/%n.sock</socket>\n <plugin>python3</plugin>\n <chdir>DIR</chdir>\n <wsgi-file>DIR/webapp.py</wsgi-file>\n <processes>2</processes><threads>4</threads><disable-logging/>\n <env>A=1</env><env>B=2</env>\n</uwsgi>\n",
}

// TestVassalsInOtherFormats: a vassal in YAML, JSON or XML is deployed without a
// failed request, by name and by path, and a mistake in its file has a line number
// and harms nobody.
func TestVassalsInOtherFormats(t *testing.T) {
	t.Parallel()
	mistakes := map[string]struct{ text, says string }{
		"yaml": {"uwsgi:\n  socket: DIR/%n.sock\n plugin: python3\n", "site.yaml:3: not YAML as uWSGI reads it"},
		"json": {"{\"uwsgi\": {\n\"socket\": \"DIR/%n.sock\"\n", "site.json:3: the JSON text ends in the middle"},
		"xml":  {"<uwsgi>\n<socket>DIR/%n.sock</sock>\n</uwsgi>\n", "site.xml:2: not XML"},
	}
	for format, text := range formats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			m := sitesMachine(t)
			m.write("uwsgi.ini", "[uwsgi]\nemperor = %dvassals.d\nhttp = :PORT\nroute-host = ^([-\\w]+)\\.path$ uwsgi:DIR/$1.sock,0,0\n"+byName)
			file := "vassals.d/site." + format
			m.write(file, text)
			m.start()
			l := m.visitors("site.test")
			m.page("site.path", "/")

			m.write("RELEASE", "1")
			m.touch(file)
			m.untilRelease("site.test", "1")
			m.untilRelease("site.path", "1")

			before := m.processes()
			m.write(file, mistakes[format].text)
			m.eventually("the mistake is told", func() bool {
				why, _ := m.order("why", "site")
				return strings.Contains(why, mistakes[format].says)
			})
			if pid := m.answering("site.test"); before[pid] == "" {
				t.Errorf("process %d answers, which did not run before the edit", pid)
			}
			if out, code := m.ask("check", "uwsgi.ini"); code != 1 || !strings.Contains(out, mistakes[format].says) {
				t.Errorf("check: exit %d\n%s", code, out)
			}

			m.write("RELEASE", "2")
			m.write(file, text)
			m.untilRelease("site.test", "2")
			report(t, l, "deploys and a mistake")
		})
	}
}
