// Package testvassal turns a test binary into a real child with scripted
// behaviour, so that tests of processes, descriptors and signals need no other
// program and no compiler.
//
// The one idea: TestMain calls MaybeRun first. In an ordinary test run it
// returns. When a test started the binary again with the words that Command
// gives, it plays the script these words spell, and exits.
//
//	func TestMain(m *testing.M) { testvassal.MaybeRun(); os.Exit(m.Run()) }
//
//	path, args, env := testvassal.Command(t, "serve", "fd=3", "ready-after=50ms", "crash-after=3")
//
// Words are played from left to right; see the table in script.go. Nothing here
// is for use outside tests.
package testvassal

import (
	"os"
	"testing"
)

// word is what the second argument of a scripted child is.
const word = "__testvassal"

// MaybeRun returns unless the test binary was started as a scripted child; then it
// never returns. It must be the first line of TestMain.
func MaybeRun() {
	if len(os.Args) >= 2 && os.Args[1] == word {
		os.Exit(play(os.Args[2:]))
	}
}

// Command gives what proc.Command and exec.Cmd need for a scripted child: the
// program, its arguments with argv[0] first, and a small environment (PATH, HOME,
// TMPDIR and LANG of ours). Misspelt words end the test at once.
func Command(t testing.TB, words ...string) (path string, args, env []string) {
	t.Helper()
	if _, err := parse(words); err != nil {
		t.Fatalf("testvassal: %v", err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatalf("testvassal: %v", err)
	}
	// A race detector waits a second at every exit, for reports of other threads.
	env = append(env, "GORACE=atexit_sleep_ms=0")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return path, append([]string{"testvassal", word}, words...), env
}
