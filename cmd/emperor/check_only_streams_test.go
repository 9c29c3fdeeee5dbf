package main

import "testing"

// TestCheckOnlyStreams: what is said of vassals with protocol = tcp: rules that mean one
// for requests, and those that no stream reaches. A rule for many hosts may have one
// among its vassals.
func TestCheckOnlyStreams(t *testing.T) {
	d := newDesk(t)
	for name, lines := range map[string]string{
		"cache": "socket = DIR/open/cache.sock", "mail": "socket = DIR/open/mail.sock", "lost": "socket = DIR/open/lost.sock", "own": "port = auto",
	} {
		d.write("v/"+name+".ini", "[uwsgi]\nprotocol = tcp\n"+lines+"\ncommand = DIR/serve\n")
	}
	d.write("main.ini", `[uwsgi]
emperor = v/*.ini
control = DIR/control.sock
https = 127.0.0.1:PORT
route-host = ^cache\.test$ vassal:cache
route-host = ^(.+)\.test$ vassal:$1
route-sni = cache.test pass:vassal:cache
route-sni = *.d.test pass:vassal:mail
route-sni = own.test pass:vassal:own
stream-shared-certificate = true
http-to = DIR/open/mail.sock
`)
	got, _ := d.check()
	want := `main.ini:5: warning: route-host: requests are answered 502: vassal cache has protocol = tcp (DIR/v/cache.ini:2), so it is asked nothing; streams lead there, as by route-sni = cache.example.com tcp:vassal:cache
main.ini:11: warning: http-to: requests are answered 502: DIR/open/mail.sock is vassal mail, which has protocol = tcp (DIR/v/mail.ini:2), so it is asked nothing; streams lead there, as by route-sni = mail.example.com tcp:vassal:mail
v/lost.ini:3: warning: socket: no rule of streams reaches vassal lost, and with protocol = tcp (DIR/v/lost.ini:2) no other can: route-sni = lost.example.com tcp:vassal:lost would`
	if got != want {
		t.Errorf("check says\n%s\nwant\n%s", got, want)
	}
}
