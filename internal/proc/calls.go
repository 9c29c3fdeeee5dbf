package proc

import (
	"golang.org/x/sys/unix"

	"emperor/internal/steps"
)

// What lists of system calls for new processes have in common.

// dieWith asks for a signal when the parent ends, and fails if it has ended already.
func dieWith(list *steps.List, parent int, signal unix.Signal) {
	list.Do(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint64(signal))
	now := list.Do(unix.SYS_GETPPID)
	now.Exactly, now.Result = true, uint64(parent)
}

func setLimit(list *steps.List, resource int, soft, hard uint64) {
	list.Do(unix.SYS_PRLIMIT64, 0, uint64(resource), list.Words(soft, hard))
}

func addresses(list *steps.List, texts []string) []uint64 {
	out := make([]uint64, 0, len(texts)+1) // and the end of a vector
	for _, text := range texts {
		out = append(out, list.Text(text))
	}
	return out
}

// vector gives the address of a vector of texts, as execve(2) has it.
func vector(list *steps.List, addresses []uint64) uint64 {
	return list.Words(append(addresses, 0)...)
}
