package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: USER_HZ, which Linux fixes at 100 for
// programs on every architecture that Go runs on, whatever the kernel uses itself.
const tick = 10 * time.Millisecond

// process is what /proc/PID/stat says of one process.
type process struct {
	pid, parent int
	cpu         time.Duration // its own, and that of children it has waited for
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The second field is the
// program's name in parentheses, which may hold spaces and parentheses itself.
func parseStat(text string) (process, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("stat %q: want a name in parentheses", text)
	}
	fields := strings.Fields(text[end+1:]) // fields[0] is field 3, the state
	if len(fields) < 15 {
		return process{}, fmt.Errorf("stat %q: want at least 17 fields", text)
	}
	var p process
	numbers := []struct {
		text string
		into func(int64)
	}{
		{strings.TrimSpace(text[:open]), func(n int64) { p.pid = int(n) }},
		{fields[1], func(n int64) { p.parent = int(n) }},
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		numbers = append(numbers, struct {
			text string
			into func(int64)
		}{field, func(n int64) { p.cpu += time.Duration(n) * tick }})
	}
	for _, number := range numbers {
		n, err := strconv.ParseInt(number.text, 10, 64)
		if err != nil {
			return process{}, fmt.Errorf("stat %q: %w", text, err)
		}
		number.into(n)
	}
	return p, nil
}

// processTree lists a process and all its descendants.
func processTree(root int) ([]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]process)
	var tree []process
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		p, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		if p.pid == root {
			tree = append(tree, p)
		}
		children[p.parent] = append(children[p.parent], p)
	}
	if len(tree) == 0 {
		return nil, fmt.Errorf("process %d is gone", root)
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].pid]...)
	}
	return tree, nil
}

// treeCPU is the processor time that a process and its descendants have used.
func treeCPU(root int) (time.Duration, error) {
	tree, err := processTree(root)
	var sum time.Duration
	for _, p := range tree {
		sum += p.cpu
	}
	return sum, err
}

// machineCPU is the time all cores together were busy, and the time that the
// hypervisor gave to somebody else, since boot.
func machineCPU() (busy, stolen time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseMachineStat(string(text))
}

// parseMachineStat reads the first line of /proc/stat: "cpu" and the ticks spent
// in user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)).
func parseMachineStat(text string) (busy, stolen time.Duration, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat: %q: want cpu and 8 numbers", line)
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		spent := time.Duration(n) * tick
		switch i {
		case 3, 4: // idle, iowait
		case 7:
			stolen = spent
		default:
			busy += spent
		}
	}
	return busy, stolen, nil
}

// proportionalMemory is a process's PSS in bytes: its own pages, and its share
// of those it has in common with others.
func proportionalMemory(pid int) (int64, error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return 0, fmt.Errorf("%w (run bench as root: the process has another user or hides its memory)", err)
	}
	if err != nil {
		return 0, err
	}
	return parsePSS(text, path)
}

// parsePSS finds the line "Pss:  1234 kB".
func parsePSS(text []byte, path string) (int64, error) {
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) != 3 || fields[0] != "Pss:" {
			continue
		}
		kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		return kilobytes << 10, nil
	}
	return 0, fmt.Errorf("%s: no line with Pss in it", path)
}
