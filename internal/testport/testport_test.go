package testport

import (
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Ports are nobody else's, and can be listened on, whatever the test binary
// starts at the same moment.
func TestFree(t *testing.T) {
	done := make(chan struct{})
	var starts sync.WaitGroup
	defer starts.Wait()
	defer close(done)
	for range 4 {
		starts.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if err := exec.Command("true").Run(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	seen := map[string]bool{}
	for range 200 {
		port := Free(t)
		if seen[port] {
			t.Fatalf("port %s was given out twice", port)
		}
		seen[port] = true
		// At once, or nearly: while others start processes the kernel keeps a port, one
		// time in some ten thousand, for a fraction of a millisecond after it was closed.
		listener, err := net.Listen("tcp", "127.0.1.1:"+port)
		for end := time.Now().Add(time.Second); err != nil && time.Now().Before(end); {
			listener, err = net.Listen("tcp", "127.0.1.1:"+port)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
}
