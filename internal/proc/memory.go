package proc

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory is how much memory the processes of the tree take, in bytes: what is theirs
// alone, and of what several share their part (PSS), so that the pages that workers
// inherit from one master are counted once. Of a process that does not show that, it is
// all that is resident.
func (p *Process) Memory() (uint64, error) {
	t, err := tables.current()
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, e := range p.tree(t) {
		sum += memoryOf(e.pid)
	}
	return sum, nil
}

// memoryOf is 0 for a process that has ended meanwhile.
func memoryOf(pid int) uint64 {
	text, err := readOwned(pid, "smaps_rollup", make([]byte, 2048))
	if err == nil {
		for line := range bytes.Lines(text) {
			if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
				kib, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 53)
				return kib << 10
			}
		}
	}
	if errors.Is(err, unix.ESRCH) {
		return 0
	}
	text, err = readProc(pid, "statm", nil)
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text)) // the second is what is resident, in pages
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 51)
	return pages * uint64(os.Getpagesize())
}
