package emperor

import (
	"fmt"
	"os"
	"strings"
)

// writePIDFiles writes our process number, as uWSGI does: a number and an end of
// line. It is called once the front is bound, so that a second emperor that
// fails at that leaves the first one's files alone.
func writePIDFiles(paths []string) error {
	for _, path := range paths {
		if err := os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return fmt.Errorf("pidfile: %w", err)
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
