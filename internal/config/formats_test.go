package config

import (
	"strings"
	"testing"
)

// TestFormatsAgainstUWSGI: JSON, XML and YAML mean to us what they mean to uWSGI.
func TestFormatsAgainstUWSGI(t *testing.T) {
	const yaml = `---
# a comment
other:
  x: 1
uwsgi:
  a: plain   # comment
  b: "quo ted # no"   # but this
  c: 'sin''gle'
  d: true
  nothing:
  f: [one, "two, three", 3]
  g:
    - l1
    - "l2"   # comment
  h:
  - m1

  - m2
  i: http://x:80/a
  a: again
  %n: /tmp/%n.sock
  k: a#b
  l: ~
  m:   spaced  value  
  n: "tab\t quote\" back\\slash"
  "o": 1
  p: ''
  q: "%(a) $(B) 50%%"
  if-env: B
  r: "%(_)"
  endif:
  endif: 1
more:
  y: 2
`
	const json = `{ "other": {"x": 1}, "list": [1, {"a": 2}],
  "uwsgi": { "a": "s", "b": true, "c": false, "d": null, "e": 1.50,
    "f": ["x", 2, true], "g": {"h": 1}, /* "no": 1 */ "a": "again",
    "i": 10000000000, // and
    "j": "/tmp/%n", "k": "\u00e9\"q\\ /* yes */ //", "l": "", "m": "%(a) $(B)", "master": true
  } }
`
	const xml = `<?xml version="1.0" encoding="UTF-8"?>
<!-- c -->
<vassals>
 <uwsgi id="one"><a>1</a><b/></uwsgi>
 <other><a>7</a></other>
 <uwsgi id="two"><c>  sp  </c><d><![CDATA[x<y]]></d><e>&amp;&#65;</e><!-- c --><f></f><g h="1">attr</g><i>/tmp/%n</i></uwsgi>
</vassals>
`
	for _, test := range []struct {
		name  string
		files map[string]string
		args  []string
	}{
		{"yaml", map[string]string{"my.app.yaml": yaml}, []string{"--yaml", "my.app.yaml"}},
		{"yaml section", map[string]string{"f.yml": yaml}, []string{"--yml", "f.yml:more"}},
		{"yaml without section", map[string]string{"f.yml": "a: 1\nb: 2\n"}, []string{"--yaml", "f.yml"}},
		{"yaml, end of lines of Windows", map[string]string{"f.yml": "uwsgi:\r\n  a: 1\r\n  b:\r\n    - 2\r\n"}, []string{"--yaml", "f.yml"}},
		{"json", map[string]string{"my.app.json": json}, []string{"--json", "my.app.json"}},
		{"xml, one section", map[string]string{"f.xml": "<uwsgi>\n<a>1</a><a>2</a><b/>\n</uwsgi>\n"}, []string{"--xmlconfig", "f.xml"}},
		{"xml, named and not asked for", map[string]string{"f.xml": xml}, []string{"--xml", "f.xml"}},
		{"included", map[string]string{
			"f.ini": "[uwsgi]\na = 1\ninclude = g.yaml\ninclude = h.json\nb = %(fromg) %(fromh)\n", "g.yaml": "uwsgi:\n  fromg: %n %(a)\n  ini: i.ini\n",
			"h.json": `{"uwsgi": {"fromh": "%n"}}`, "i.ini": "[uwsgi]\nc = %n\n"}, []string{"--ini", "f.ini"}},
	} {
		t.Run(test.name, func(t *testing.T) { compareWithUWSGI(t, test.files, test.args) })
	}
}

// TestFormatsOfVassals: where a file in another format is mistaken, and what only
// uWSGI understands.
func TestFormatsOfVassals(t *testing.T) {
	for _, test := range []struct {
		name, text string
		says       string // of the problems; empty: there are none
		foreign    string
	}{
		{"f.yaml", "uwsgi:\n  socket: /tmp/s\n", "", ""},
		{"f.json", `{"uwsgi": {"socket": "/tmp/s"}}`, "", ""},
		{"f.xml", "<uwsgi><socket>/tmp/s</socket></uwsgi>", "", ""},
		{"f.json", "{\"uwsgi\": {\n\"socket\": ", "f.json:2: the JSON text ends in the middle", ""},
		{"f.json", "{\"uwsgi\": {\n\"socket\": 1,\n}}", "f.json:3: not JSON: ", ""},
		{"f.json", "{\"uwsgi\": {\n\"sockte\": 1\n}}", "f.json:2: warning: ", ""},
		{"f.json", "{\"uwsgi\": {\n\"socket\": \"a\n\"}}", "f.json:2: not JSON: ", ""},
		{"f.json", "{} {}", "f.json:1: not JSON: there is more", ""},
		{"f.json", `["uwsgi"]`, `f.json:1: not JSON: want {"uwsgi": { … }}`, ""},
		{"f.json", "{}", "f.json: warning: there is no section [uwsgi]", ""},
		{"f.xml", "<uwsgi>\n<socket>/tmp/s</sock", "f.xml:2: not XML: ", ""},
		{"f.xml", "<uwsgi>\n<socket>/tmp/s</uwsgi>", "f.xml:2: not XML: ", ""},
		{"f.yaml", "uwsgi:\n  socket: /tmp/s\n sockte: 2\n", "f.yaml:3: not YAML as uWSGI reads it: this line is indented less", ""},
		{"f.yaml", "uwsgi:\n  socket /tmp/s\n", "f.yaml:2: not YAML as uWSGI reads it: want OPTION: VALUE", ""},
		{"f.yaml", "uwsgi:\n\tsocket: /tmp/s\n", "f.yaml:2: not YAML as uWSGI reads it: a tab", ""},
		{"f.yaml", "uwsgi:\n  socket: %(base).sock\n", "f.yaml:2: not YAML as uWSGI reads it: a value beginning with % needs quotes", ""},
		{"f.yaml", "uwsgi:\n  sockte: /tmp/s\n", "f.yaml:2: warning: ", ""},
		{"f.yaml", "uwsgi:\n  socket: [unclosed\n   x: {", "f.yaml:2: warning: a list of several lines in brackets is read by uWSGI only", "yaml"},
		{"f.yaml", "uwsgi:\n  socket: |\n    /tmp/s\n", "f.yaml:2: warning: a value of several lines", "yaml"},
		{"f.yaml", "uwsgi:\n  socket: &a /tmp/s\n", "f.yaml:2: warning: a value beginning with &", "yaml"},
		{"f.yaml", "uwsgi: {socket: /tmp/s}\n", "f.yaml:1: warning: a section that is not written line by line", "yaml"},
	} {
		c, problems, _ := load(t, true, map[string]string{test.name: test.text}, func(r *Request) { r.File = test.name })
		got := problems.String()
		if test.says == "" && got != "" || !strings.Contains(got, test.says) || c.Foreign != test.foreign || strings.Contains(got, "internal") {
			t.Errorf("%s %q: %q, foreign %q", test.name, test.text, got, c.Foreign)
		}
		if v, ok := c.Last("socket"); test.says == "" && (!ok || v.Value != "/tmp/s") {
			t.Errorf("%s: socket is %q, %t", test.name, v.Value, ok)
		}
	}
	for _, name := range []string{"x.yaml", "x.yml", "x.xml", "x.json", "x.js"} {
		if _, problems, _ := load(t, false, map[string]string{name: ""}, func(r *Request) { r.File = name }); problems.Err() == nil {
			t.Errorf("%s is accepted as main file", name)
		}
	}
	for name, text := range map[string]string{
		"f.json": `{"uwsgi": {"socket": 1}, "s": {"socket": 2}}`,
		"f.xml":  `<x><uwsgi id="r"><socket>1</socket></uwsgi><uwsgi id="s"><socket>2</socket></uwsgi></x>`,
		"f.yaml": "uwsgi:\n  socket: 1\ns:\n  socket: 2\n",
	} {
		c, problems, _ := load(t, true, map[string]string{name: text}, func(r *Request) { r.File = name + ":s" })
		if v, _ := c.Last("socket"); v.Value != "2" || len(problems) > 0 {
			t.Errorf("section s of %s: socket is %q, %v", name, v.Value, problems)
		}
	}
	// Nobody may write a line of configuration by way of a value.
	c, _, _ := load(t, true, map[string]string{"f.json": "{\"uwsgi\": {\"env\": \"A=1\\nchdir = /\", \"x=y\": 1, \"[uwsgi]\": 2, \";\": 3}}"}, func(r *Request) { r.File = "f.json" })
	if v, ok := c.Last("chdir"); ok {
		t.Errorf("chdir is %q", v.Value)
	}
}
