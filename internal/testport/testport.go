// Package testport gives each test TCP ports of its own.
//
// A port that the kernel chose is free only until it is closed: by the time the
// program under test opens it, a client's connection may have got the same number,
// and many tests with many connections run at once. So the ports given out here lie
// below those that the kernel gives to clients, and one that was given out is given
// to nobody else, in no test binary of this machine, until its test has ended.
package testport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// Linux gives clients the ports from 32768 on, and services have theirs at the
// lower end.
const first, beyond = 12000, 32000

// Free is a TCP port on which nobody listens, on no address of this machine.
func Free(t testing.TB) string {
	t.Helper()
	// What this test binary starts at the same moment would have the listener too, until
	// it has become another program, and keep the port from whoever takes it at once.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(beyond-first))
		// The claim is an abstract socket: it needs no file, and ends with its process.
		claim, err := net.Listen("unix", "@emperor-test-port/"+port)
		if err != nil {
			continue // another test has it
		}
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			_ = claim.Close()
			continue
		}
		_ = listener.Close()
		t.Cleanup(func() { _ = claim.Close() })
		return port
	}
	t.Fatal("no TCP port is free: of a thousand, all are taken")
	return ""
}
