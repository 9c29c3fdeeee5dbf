// Package control lets people and scripts talk to a running emperor: HTTP/1.1 and
// JSON over a unix socket, so that curl is a client too:
//
//	curl --unix-socket /run/emperor.sock http://emperor/status
//
//	GET  /status                    Status
//	GET  /vassals/NAME              VassalStatus with its last log lines
//	GET  /vassals/NAME/logs         one LogLine per line; ?follow=1 goes on for ever
//	GET  /events                    one Event per line; ?follow=1 goes on for ever
//	GET  /certificates              Certificates
//	POST /certificates/NAME/order   have it issued anew; {} when it is there
//	POST /reload                    read the main file again; {} when it holds, or an Upgrade
//	POST /vassals/NAME/ORDER        start, stop, reload, restart, pause or resume; the VassalStatus after it
//
// A name with a slash is written with %2F. An error is {"error": "…"} with a status
// from 400 on, and lists near names where the name was wrong.
//
// The one idea: this package knows no vassal. It declares what it needs as the
// interface Emperor and plain structs, and package emperor satisfies them. The
// client half (Client) and the text that people read (Write…) are here too, so that
// both ends of the wire are one page apart.
//
// Only the emperor's own user and root are let in: the socket's mode is 0600 and
// the peer's credentials (SO_PEERCRED) are checked, by the client too, since a path
// under /tmp may be anybody's.
package control
