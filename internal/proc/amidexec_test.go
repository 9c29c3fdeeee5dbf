package proc

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestMarkAmidExec: a process that does nothing but exec is seen with its mark
// each time, although it has no environment at all while an exec is under way.
func TestMarkAmidExec(t *testing.T) {
	script := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(script, []byte("exec sh "+script+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mark := "amid-exec-" + strconv.Itoa(os.Getpid())
	s := NewStarter(mark)
	defer s.Close()
	p, err := s.Start(context.Background(), &Command{Name: "n", Path: "sh", Args: []string{"sh", script}, Env: os.Environ(), Umask: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.KillTree(context.Background())
	const looks = 5000 // one in sixty found none
	for range looks {
		if e := readEntries([]int{p.PID()}, true)[p.PID()]; e.mark != mark+"/n/0" {
			t.Fatalf("mark %q of %+v", e.mark, e)
		}
	}
}
