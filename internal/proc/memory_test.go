package proc_test

import (
	"path/filepath"
	"testing"
)

// TestMemory: what its children take is its memory, too, wherever they have gone.
func TestMemory(t *testing.T) {
	s := newStarter(t, "mark")
	here := filepath.Join(t.TempDir(), "here")
	alone := mustStart(t, s, scripted(t, "file="+here, "wait"))
	waitFile(t, here)
	there := filepath.Join(t.TempDir(), "there")
	pair := scripted(t, "daemon=file="+there+",wait", "wait")
	pair.Generation = 2 // or it would be one tree
	two := mustStart(t, s, pair)
	waitFile(t, there)
	one, err := alone.Memory()
	if err != nil || one < 100<<10 {
		t.Errorf("one process takes %d bytes (%v)", one, err)
	}
	if both, err := two.Memory(); err != nil || both < one*5/4 {
		t.Errorf("a process takes %d bytes, and another with a daemon %d (%v)", one, both, err)
	}
}
