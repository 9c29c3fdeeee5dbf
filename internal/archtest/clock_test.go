package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Who supervises must not be confused by a clock that is set: a back-off that never ends,
// a healthy vassal that counts as dead. A time.Time that comes from time.Now keeps the
// monotonic clock, by which it is compared; what is named here loses it.
var wallClock = []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "Date", "AddDate", "ModTime"}

// readsTheWallClock are the files of supervision that may use it, and what for.
var readsTheWallClock = map[string]string{
	"emperor/monitor/stamp.go": "times of files, which are compared with each other",
	"emperor/stats_vassal.go":  "seconds since 1970 for uWSGI's statistics",
	"emperor/upgrade.go":       "a deadline in the past",
	"internal/proc/starter.go": "a deadline in the past",
	"internal/proc/tree.go":    "a deadline in the past",
	"vassal/probe/probe.go":    "a deadline in the past",
	"vassal/cron/cron.go":      "cron is about the time of day",
	"vassal/daemon.go":         "times of files, which are compared with each other",
	"vassal/uwsgi_logs.go":     "names of rotated files",
}

// TestOnlyMonotonicTimeDecides: no file of supervision but these can lose the monotonic
// reading of a time.
func TestOnlyMonotonicTimeDecides(t *testing.T) {
	root := filepath.Join("..", "..")
	used := map[string]bool{}
	for _, pattern := range []string{"emperor/*.go", "emperor/monitor/*.go", "vassal/*.go", "vassal/*/*.go", "internal/proc/*.go", "internal/sysd/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(root, path)
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(wallClock, s.Sel.Name) {
					used[name] = true
					if readsTheWallClock[name] == "" {
						t.Errorf("%s: %s loses the monotonic clock: somebody who sets the clock would be heard; if that cannot matter, say in readsTheWallClock why", set.Position(call.Pos()), s.Sel.Name)
					}
				}
				return true
			})
		}
	}
	for name := range readsTheWallClock {
		if !used[name] {
			t.Errorf("%s does not use the wall clock any more: take it out of readsTheWallClock", name)
		}
	}
}
