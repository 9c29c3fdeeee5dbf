package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what the processes of one session have used.
type Usage struct {
	Processes int
	CPU       time.Duration // of those that live
	RSS       int64         // bytes; what they share is counted for each
}

// ticksPerSecond is what the kernel's clock ticks in /proc stand for (USER_HZ, the same
// on all architectures that Go runs on).
const ticksPerSecond = 100

// Fields of /proc/PID/stat, as those in table.go.
const (
	statUserTime   = 14
	statSystemTime = 15
	statResident   = 24
)

// SessionUsage tells what every session on the machine uses, by its leader's number: a
// generation is one. It reads all of /proc.
func SessionUsage() (map[int]Usage, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := map[int]Usage{}
	var buffer []byte
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		text, err := readProc(pid, "stat", buffer)
		if err != nil {
			continue // it has ended meanwhile
		}
		buffer = text
		session, one, err := parseUsage(text)
		if err != nil {
			return nil, err
		}
		sum := all[session]
		all[session] = Usage{sum.Processes + one.Processes, sum.CPU + one.CPU, sum.RSS + one.RSS}
	}
	return all, nil
}

// parseUsage reads a line of /proc/PID/stat.
func parseUsage(text []byte) (session int, u Usage, err error) {
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= statResident-statState {
		return 0, u, fmt.Errorf("process table: %d fields after the name, want at least %d", len(fields), statResident-statState+1)
	}
	number := func(field int) int64 {
		n, numberErr := strconv.ParseInt(fields[field-statState], 10, 64)
		err = errors.Join(err, numberErr)
		return n
	}
	u.Processes = 1
	u.CPU = time.Duration(number(statUserTime)+number(statSystemTime)) * time.Second / ticksPerSecond
	u.RSS = number(statResident) * int64(os.Getpagesize())
	return int(number(statSession)), u, err
}
