package router

import (
	"context"
	"strings"
	"testing"
)

// TestStreamCheck: the addresses of all rules are checked, each once, as long as an edit
// does not say otherwise, and not by a router that has been replaced, whose streams may
// go on for days.
func TestStreamCheck(t *testing.T) {
	there := serveBehind(t, nil, parrot("there")).Addr().String()
	f := newFront(t)
	f.listen(optionRawRouter, "127.0.0.1:0")
	rules := []string{
		"route-run = return:204",
		"route-sni = a.test pass:" + there + "|127.0.0.77:1",
		"route-sni = b.test pass:" + there + "|vassal:site",
		"route-sni = ~^(\\w+)\\.c\\.test$ pass:$1.c.test:1",
		"stream-default = 127.0.0.78:1",
		"rawrouter-to = 127.0.0.79:1",
	}
	f.secured(rules...)
	if n := f.checker.Nodes(); n != 0 {
		t.Errorf("%d nodes are checked without stream-check", n)
	}
	checked := func(n int) {
		t.Helper()
		eventually(t, "the nodes to be checked", func() bool { return f.checker.Nodes() == n })
	}
	f.secured(append(rules, "stream-check = 1")...)
	checked(4)
	for _, address := range []string{"127.0.0.77:1", "127.0.0.78:1", "127.0.0.79:1"} {
		eventually(t, address+" to fail", func() bool {
			return strings.Contains(f.log.String(), `"a node fails its check and is passed over" address=`+address)
		})
	}
	f.secured(append(rules[:1], "route-sni = a.test pass:"+there, "stream-check = 1")...)
	checked(1)
	f.Drain(context.Background())
	checked(0)
}
