package spec

import (
	"fmt"
	"path/filepath"

	"emperor/internal/config"
)

// pythonApps … name an application whose failed import must stop uWSGI: with
// one of these need-app=true is added (without it uWSGI serves errors instead of
// saying that it cannot start).
var neededApps = []string{
	"wsgi-file", "file", "module", "wsgi", "mount", "eval", "ini-paste", "ini-paste-logged",
	"paste", "pecan", "pump", "web3", "wsgi-lite", "psgi", "rack", "rails",
}

// otherApps make a file one for uWSGI too, but uWSGI does not count them as apps
// when it decides about need-app.
var otherApps = []string{
	"cgi", "php-docroot", "php-app", "php-allowed-docroot", "php-set", "php-index",
	"lua", "mono-app", "jwsgi", "ring-app", "v8-jsgi", "coroae", "pypy-wsgi", "pypy-wsgi-file",
	"pypy-paste", "pypy-ini-paste", "go-load", "gccgo-load", "xslt-docroot",
	"worker-exec", "worker-exec2", "emperor", "mule", "mules", "pythonpath", "virtualenv", "venv", "home",
}

// chooseKind says who runs the file. Our own words (command, static) choose only
// where the file names no application of uWSGI's and nothing uses them as a
// placeholder: existing files keep their meaning.
func chooseKind(c *config.Config) (Kind, string) {
	if c.Foreign != "" {
		return UWSGI, fmt.Sprintf("%s file (%s)", c.Foreign, filepath.Base(c.File))
	}
	for _, group := range [][]string{neededApps, otherApps} {
		if values := c.All(group...); len(values) > 0 {
			return UWSGI, Reason(values[0])
		}
	}
	if len(c.Unread) > 0 {
		return UWSGI, "only uWSGI can read " + Reason(c.Unread[0])
	}
	for _, own := range []struct {
		name string
		kind Kind
	}{{"command", Command}, {"static", Static}} {
		if v, ok := c.Last(own.name); ok && !c.UsedPlaceholders[own.name] {
			return own.kind, Reason(v)
		}
	}
	return UWSGI, "it names no command"
}

// Reason is how an option and its place are named: "module (shop.ini:3)".
func Reason(v config.Value) string {
	return fmt.Sprintf("%s (%s)", v.Key, ShortPos(v.Pos))
}

// ShortPos is a place with the file's name only, for messages about that one file.
func ShortPos(p config.Pos) string {
	p.File = filepath.Base(p.File)
	if p.File == "." {
		p.File = ""
	}
	return p.String()
}
