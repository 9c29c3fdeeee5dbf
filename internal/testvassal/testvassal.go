// Package testvassal turns a test binary into a real child with scripted
// behaviour, so that process tests need no other program.
package testvassal

import "testing"

// MaybeRun returns unless the test binary was re-executed as a scripted child
// or as the exec shim; then it never returns. First line of TestMain.
func MaybeRun() {}

// Command gives program, arguments (with argv[0]) and environment of a scripted child.
func Command(t testing.TB, words ...string) (path string, args, env []string) { return "", nil, nil }
