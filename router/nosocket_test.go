package router

import (
	"strings"
	"testing"

	"emperor/internal/link"
)

// TestVassalWithoutSocket: nobody waits for a vassal that has no socket for the front,
// neither who comes then nor who came while it started.
func TestVassalWithoutSocket(t *testing.T) {
	f := newFront(t, "route-run = vassal:v")
	f.vassals(link.Vassal{Name: "v", Generation: 1, State: link.Starting})
	early := f.visit()
	early.send(get("a"))
	eventually(t, "a request that waits", func() bool { return f.table.held.Load() == 1 })
	f.vassals(link.Vassal{Name: "v", Generation: 1, State: link.Ready})
	if r, _ := early.receive("GET"); r.StatusCode != 502 {
		t.Errorf("who had waited gets %d", r.StatusCode)
	}
	if r := f.ask(get("a")); r.StatusCode != 502 || r.text != "this site does not answer\n" {
		t.Errorf("%d %q", r.StatusCode, r.text)
	}
	if log := f.log.String(); strings.Count(log, "it has no socket that the front can reach") != 2 || !strings.Contains(log, "vassal=v") {
		t.Error("the log does not say why")
	}
}
