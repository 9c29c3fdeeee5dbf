package sockets

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"emperor/vassal/spec"
)

// TestTwinKeepsThePath: the file at the path is the same afterwards, the name of
// the second socket that of the first, and both are told apart.
func TestTwinKeepsThePath(t *testing.T) {
	dir := t.TempDir()
	sockets := New()
	path := filepath.Join(dir, "s")
	socket := spec.Socket{Address: "s", Held: true, At: spec.Address{Text: "s", Path: "s"}}
	rules := spec.SocketRules{Dir: dir, Umask: -1, UID: -1, GID: -1, Backlog: 5}
	first, err := sockets.Hold("site", socket, rules)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Keep("site", nil)
	defer first.Release()
	if err := os.WriteFile(filepath.Join(dir, ".s.2"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sockets.Twin("site", socket, rules, 2); err == nil || !first.AtPath() {
		t.Errorf("a file in the way: %v, the path ours: %t", err, first.AtPath())
	}
	second, err := sockets.Twin("site", socket, rules, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if !first.AtPath() || !second.AtPath() || second.Path != filepath.Join(dir, ".s.3") {
		t.Errorf("first at its path %t, second at %s %t", first.AtPath(), second.Path, second.AtPath())
	}
	for _, dial := range []struct {
		path string
		to   *Listener
	}{{path, first}, {second.Path, second}} {
		c, err := net.Dial("unix", dial.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != "s" || !dial.to.Pending() {
			t.Errorf("connected to a socket of the name %q, want s", got)
		}
		c.Close()
	}
	if _, err := sockets.Twin("other", socket, rules, 4); err == nil {
		t.Error("another vassal got a twin")
	}
	if err := sockets.Exchange("site", socket, rules, second); err != nil || !sockets.Has(second) || sockets.Has(first) {
		t.Errorf("exchange: %v", err)
	}
}
