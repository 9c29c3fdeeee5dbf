package router

import (
	"testing"

	"emperor/internal/link"
)

// TestOneRequestPerConnection: a connection to an address that is marked so is not
// kept, whatever the vassal says.
func TestOneRequestPerConnection(t *testing.T) {
	v := httpVassal(t, answering("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"))
	f := newFront(t, "route-run = vassal:v")
	marked := row("v", 1, link.Ready, v)
	marked.Addresses[0].Single = true
	f.vassals(marked)
	visitor := f.visit()
	for n := int64(1); n <= 3; n++ {
		visitor.send(get("a"))
		visitor.want("GET", 200, "*")
		if got := v.accepted.Load(); got != n {
			t.Errorf("%d connections for %d requests", got, n)
		}
	}
}
