// Package sockettest has what tests of packages need that wait by package socket.
package sockettest

import (
	"context"
	"sync"
	"testing"

	"emperor/router/deadline"
	"emperor/router/socket"
)

// NewPoller is a Poller, with limits that fire, for as long as the test lasts. Whatever
// is registered with it has to be closed by then.
func NewPoller(t testing.TB) *socket.Poller {
	t.Helper()
	sweeper := deadline.NewSweeper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { sweeper.Run(ctx) })
	p, err := socket.NewPoller(sweeper)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
	})
	return p
}
