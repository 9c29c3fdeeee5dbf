package proc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mitchellh/go-ps"
)

// Identity names the emperor of one main file, run by one user in one container:
// equal in the next run, different for every other emperor on the machine. It
// needs no file to exist; configFile is any text when there is none.
func Identity(configFile string) string {
	if path, err := filepath.Abs(configFile); err == nil {
		configFile = path
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%d\x00", configFile, os.Geteuid())
	// From outside, the processes of a container are visible like ours, and
	// /app/uwsgi.ini is a different file in each.
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	var root syscall.Stat_t
	syscall.Stat("/", &root)
	fmt.Fprintf(h, "%s\x00%d:%d", namespace, root.Dev, root.Ino)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// NewMark is the mark of this run of the emperor with that identity, for
// NewStarter. It names our process by number and start time, so that the next
// run can tell a dead emperor's children from a living one's. It survives an exec.
func NewMark(identity string) string {
	self := os.Getpid()
	e, _ := readEntry(self, nil)
	return fmt.Sprintf("%s.%d.%d", identity, self, e.start)
}

// emperorOf is the reverse of NewMark.
func emperorOf(mark string) (identity string, pid int, start uint64, ok bool) {
	fields := strings.Split(mark, ".")
	if len(fields) != 3 {
		return "", 0, 0, false
	}
	pid, err1 := strconv.Atoi(fields[1])
	start, err2 := strconv.ParseUint(fields[2], 10, 64)
	return fields[0], pid, start, err1 == nil && err2 == nil
}

// Leftover is a process that an emperor has started, or a process it has made,
// and that outlived that emperor.
type Leftover struct {
	PID        int
	Program    string // at most 15 bytes, as the process names itself
	Vassal     string // empty for a descendant that carries no mark
	Generation uint64
}

// Leftovers lists the processes of emperors of that identity that are no longer
// alive. Children of a living emperor with the same main file, ours included,
// are never listed.
func Leftovers(identity string) ([]Leftover, error) {
	entries, err := leftoverEntries(identity)
	if err != nil {
		return nil, err
	}
	return describe(entries), nil
}

// EndLeftovers ends the processes that Leftovers lists, before anything is bound
// that they might hold: SIGTERM, and SIGKILL for what is left after mercy or has
// come meanwhile. It returns those it found, when none is left; see
// Process.KillTree for errors.
func EndLeftovers(ctx context.Context, identity string, mercy time.Duration) ([]Leftover, error) {
	found, err := leftoverEntries(identity)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, mercy)
	defer cancel()
	// Whatever goes wrong here goes wrong again below, where it is reported.
	_ = endEach(patient, found, syscall.SIGTERM)
	// What a TERM has orphaned may carry no mark any more: those found first are
	// followed by their identity as well.
	err = killAll(ctx, func(t table) []entry {
		members := leftoverMembers(t, identity)
		for _, e := range found {
			if now, ok := t[e.pid]; ok && now.start == e.start {
				members[e.pid] = true
			}
		}
		return t.withDescendants(members)
	})
	return describe(found), err
}

// leftoverEntries asks go-ps which processes there are, as a first filter, and
// then each for its mark and start time: go-ps knows neither, and a process can
// choose the name that confuses it.
func leftoverEntries(identity string) ([]entry, error) {
	listed, err := ps.Processes()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	pids := make([]int, 0, len(listed))
	for _, p := range listed {
		pids = append(pids, p.Pid())
	}
	t := readEntries(pids, true)
	return t.withDescendants(leftoverMembers(t, identity)), nil
}

// leftoverMembers are the processes in t that carry the mark of a dead emperor.
func leftoverMembers(t table, identity string) map[int]bool {
	members := map[int]bool{}
	for pid, e := range t {
		mark, _, _, ok := splitMark(e.mark)
		if !ok {
			continue
		}
		owner, emperor, start, ok := emperorOf(mark)
		if !ok || owner != identity {
			continue
		}
		if e, alive := t[emperor]; alive && e.start == start && !e.dead {
			continue
		}
		members[pid] = true
	}
	return members
}

func describe(entries []entry) []Leftover {
	list := make([]Leftover, 0, len(entries))
	for _, e := range entries {
		_, name, generation, _ := splitMark(e.mark)
		list = append(list, Leftover{PID: e.pid, Program: e.name, Vassal: name, Generation: generation})
	}
	slices.SortFunc(list, func(a, b Leftover) int { return a.PID - b.PID })
	return list
}
