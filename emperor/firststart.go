package emperor

import (
	"fmt"
	"strings"
	"sync"

	"emperor/vassal"
)

// firstStart notices when the one app does not come up the first time. There is
// nothing else for which the emperor would stay, so it ends, and whoever started it
// (a platform, a shell, a service manager) learns from its exit status what it
// would have learnt from the program's own. Once the app has answered, its deaths
// are followed by restarts.
type firstStart struct {
	mu     sync.Mutex
	over   bool           // guarded by mu
	failed *vassal.Status // guarded by mu
}

// see is told each state of the app, in order.
func (f *firstStart) see(s vassal.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.over || s.Name != AppName:
	case s.State == vassal.Ready, s.State == vassal.Asleep:
		f.over = true
	case s.State == vassal.Failed:
		f.over, f.failed = true, &s
	}
}

// err is why the app did not come up, with its last words; nil when it did, or may.
func (f *firstStart) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		return nil
	}
	var said strings.Builder
	for _, line := range f.failed.Lines {
		said.WriteString("\n  | " + line.Text)
	}
	return fmt.Errorf("the app did not start: %s%s", f.failed.Reason, said.String())
}
