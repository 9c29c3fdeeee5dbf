package main

import "testing"

// TestCheckStreams: rules of streams that lead to nobody are warned of, and a vassal
// that they reach needs no rule of requests.
func TestCheckStreams(t *testing.T) {
	d := newDesk(t)
	d.socat("TCP-LISTEN:PORT,bind=127.0.0.9")
	for _, name := range []string{"alone", "named", "shop", "lost"} {
		d.write("v/"+name+".ini", "[uwsgi]\nsocket = DIR/open/"+name+".sock\ncommand = DIR/serve\n")
	}
	d.write("main.ini", `[uwsgi]
emperor = v/*.ini
control = DIR/control.sock
https = 127.0.0.1:PORT
route-host = ^lost\.test$ vassal:lost
route-sni = a.test pass:DIR/open/alone.sock
route-sni = ^(na[a-z]+)\.b\.test$ pass:vassal:${1}
route-sni = *.c.test pass:vassal:shp
route-sni = d.test pass:vassal:shop|127.0.0.9:PORT|127.0.0.9:1|10.0.0.1:1
stream-default = DIR/run/elsewhere.sock
stream-shared-certificate = true
`)
	got, _ := d.check()
	want := `main.ini:8: warning: route-sni: there is no vassal shp; did you mean shop?
main.ini:9: warning: route-sni: no vassal listens on 127.0.0.9:1, and nobody else does
main.ini:10: warning: stream-default: no vassal has the socket DIR/run/elsewhere.sock, and nobody answers there`
	if got != want {
		t.Errorf("check says\n%s\nwant\n%s", got, want)
	}
}
