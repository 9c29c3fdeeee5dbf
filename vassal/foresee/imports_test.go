package foresee

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"emperor/vassal/spec"
)

func TestImports(t *testing.T) {
	text := `"""From here
from the app, import nothing
import (this)
"""
import os, shop.views as views ,  json  # and more
from django.core.wsgi import get_wsgi_application
from . import settings
from .settings import DEBUG
import  numpy
try:
    import ujson
except ImportError:
    pass
importlib = 1
def application(e, r):
    import late
`
	if got, want := importsOf(text), []string{"os", "shop", "json", "django", "numpy"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDoomed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.py": "import os, sys\nimport time\nfrom wsgiref import util\nimport beside\n", "beside.py": "",
		"broken.py": "import no_such_module\n", "pkg/__init__.py": "", "pkg/wsgi.py": "from no_such_module import app\n",
		"lib/far.py": "", "wants_far.py": "import far\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.py"), 0o644); err != nil {
		t.Fatal(err)
	}
	for options, want := range map[string]bool{
		"wsgi-file = good.py":                         false,
		"module = good":                               false,
		"wsgi-file = broken.py":                       true,
		"wsgi-file = missing.py":                      true,
		"module = pkg.wsgi:application":               true,
		"module = elsewhere":                          false, // perhaps Python knows it
		"wsgi-file = wants_far.py":                    true,
		"wsgi-file = wants_far.py\npythonpath = lib":  false,
		"wsgi-file = pipe.py":                         false,
		"chdir = lib\nwsgi-file = ../broken.py":       true,
		"chroot = /srv\nwsgi-file = broken.py":        false, // another file there
		"wsgi-file = good.py\nvirtualenv = ./nowhere": true,
	} {
		file := filepath.Join(dir, "site.ini")
		if err := os.WriteFile(file, []byte("[uwsgi]\nsocket = site.sock\n"+options+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		got := spec.Read(spec.Reading{Name: "site", File: file, Argument: "site.ini", Dir: dir})
		if got.Spec == nil {
			t.Fatal(options, got.Problems)
		}
		if doomed := Doomed(got.Spec, Outlook{Config: got.Config}); doomed != want {
			t.Errorf("%q: %v, want %v", options, doomed, want)
		}
	}
}
