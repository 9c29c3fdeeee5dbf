//go:build !(amd64 || arm64)

package steps

const machine = 0

func code() []byte { return nil }

// Spawn is for the processors that there is a run_*.s for.
func (l *List) Spawn() (pid, pidfd int, err error) { return 0, -1, ErrUnsupported }
