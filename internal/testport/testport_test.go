package testport

import (
	"net"
	"testing"
)

// Ports are nobody else's, and can be listened on, again and again.
func TestFree(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		port := Free(t)
		if seen[port] {
			t.Fatalf("port %s was given out twice", port)
		}
		seen[port] = true
		for _, address := range []string{"127.0.0.1:", "[::]:"} {
			listener, err := net.Listen("tcp", address+port)
			if err != nil {
				t.Fatal(err)
			}
			_ = listener.Close()
		}
	}
}
