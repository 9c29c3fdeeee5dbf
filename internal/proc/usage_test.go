package proc

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseUsage(t *testing.T) {
	const line = "77 (a ) S 1) S 1 70 70 0 -1 4194560 10 0 0 0 250 50 7 9 20 0 1 0 100 1000000 300 18446744073709551615 1 1 0 0"
	session, u, err := parseUsage([]byte(line))
	if want := (Usage{1, 3 * time.Second, 300 * int64(os.Getpagesize())}); err != nil || session != 70 || u != want {
		t.Errorf("session %d, %+v, %v; want 70, %+v", session, u, err, want)
	}
	if _, _, err := parseUsage([]byte("77 (x) S 1 2")); err == nil {
		t.Error("a short line is no error")
	}
}

func TestSessionUsage(t *testing.T) {
	all, err := SessionUsage()
	if err != nil {
		t.Fatal(err)
	}
	own, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	if u := all[own]; u.Processes < 1 || u.RSS <= 0 {
		t.Errorf("our own session, %d: %+v", own, u)
	}
}
