//go:build systemd

package systemd

import (
	"strings"
	"testing"
)

// TestUWSGI: a site of the real uWSGI, which would speak to systemd itself, under the
// hardened unit.
func TestUWSGI(t *testing.T) {
	install(t, map[string]string{"two": ""}, dropIn(t, "hardened.conf"))
	write(t, "/srv/shop/app.py", "import os\ndef application(environ, start_response):\n"+
		"    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [str(os.getppid()).encode()]\n")
	write(t, "/etc/emperor/vassals.d/shop.ini",
		"[uwsgi]\nsocket = /run/emperor/%n.sock\nplugin = python3\nmaster = true\nprocesses = 2\nwsgi-file = /srv/%n/app.py\npids-max = 100\nboot-timeout = 300\n")
	must(t, "systemctl", "start", "emperor.socket", "emperor.service")
	main, master := property(t, "MainPID"), page(t, "shop", "/")
	if text := property(t, "StatusText"); text != "2 vassals: 2 ready" {
		t.Errorf("the status is %q", text)
	}
	stop := load("shop")
	must(t, program, "reload", "shop")
	if page(t, "shop", "/") == master {
		t.Error("it was not reloaded")
	}
	master = page(t, "shop", "/")
	copyFile(t, library+"emperor-next", program)
	must(t, "systemctl", "reload", "emperor.service")
	if now := page(t, "shop", "/"); now != master || property(t, "MainPID") != main {
		t.Errorf("the site's master is %s, was %s", now, master)
	}
	must(t, "systemctl", "restart", "emperor.service")
	if answered, failed := stop(); answered < 10 || len(failed) > 0 {
		t.Errorf("%d requests were answered; failed: %v", answered, failed)
	}
	must(t, "systemctl", "stop", "emperor.socket", "emperor.service")
	if out, err := command("pgrep", "-a", "uwsgi"); err == nil {
		t.Errorf("it has left %s", out)
	}
	if said := journal(t, "-u", "emperor.service", "VASSAL=shop", "STREAM=output"); !strings.Contains(said, "WSGI app 0") {
		t.Errorf("what uWSGI says is not in the journal:\n%s", said)
	}
}
