package emperor

import (
	"fmt"
	"os"
	"strings"

	"emperor/internal/config"
)

// pidFileOptions all mean the same. They are options of their own, and no aliases, so
// that a mistake is said of the one that was written.
var pidFileOptions = []string{"pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2", "emperor-pidfile"}

// writePIDFiles writes our process number, as uWSGI does: a number and an end of
// line. It is called once the front is bound, so that a second emperor that
// fails at that leaves the first one's files alone.
func (m *Main) writePIDFiles() error {
	for i, v := range m.Config.All(pidFileOptions...) {
		if err := os.WriteFile(m.PIDFiles[i], fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error()}
		}
	}
	return nil
}

// removePIDFiles removes those that still are ours.
func removePIDFiles(paths []string) {
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == fmt.Sprint(os.Getpid()) {
			_ = os.Remove(path)
		}
	}
}
