package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one process as /proc shows it.
type entry struct {
	pid, parent, session int
	start                uint64 // clock ticks since boot; with pid, an identity
	name                 string // at most 15 bytes, chosen by the process
	dead                 bool   // a zombie: nothing of it runs
	kernel               bool   // a kernel thread
	mark                 string // value of MarkVariable; empty: none, or not readable by us
}

// readEntry reads the line of one process. buffer is reused if given.
func readEntry(pid int, buffer []byte) (entry, error) {
	text, err := readProc(pid, "stat", buffer)
	if err != nil {
		return entry{}, err
	}
	return parseStat(text)
}

// readProc reads /proc/PID/NAME whole, without an os.File: a scan reads
// thousands of them.
func readProc(pid int, name string, buffer []byte) ([]byte, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if cap(buffer) == 0 {
		buffer = make([]byte, 1024)
	}
	buffer = buffer[:cap(buffer)]
	for n := 0; ; {
		m, err := unix.Read(fd, buffer[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case m == 0:
			return buffer[:n], nil
		default:
			if n += m; n == len(buffer) {
				buffer = append(buffer, make([]byte, len(buffer))...)
			}
		}
	}
}

// Fields of /proc/PID/stat as proc(5) numbers them, from 1.
const (
	statState     = 3
	statParent    = 4
	statSession   = 6
	statFlags     = 9
	statThreads   = 20
	statStart     = 22
	statCodeStart = 26
	statCodeEnd   = 27
	statStack     = 28

	kernelThread = 0x00200000 // PF_KTHREAD, include/linux/sched.h
)

// parseStat reads a line of /proc/PID/stat. The name is in parentheses and may
// contain anything, also ") S 1 1 1 (": the fields begin after the last ')'.
func parseStat(text []byte) (entry, error) {
	open, closing := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || closing < open {
		return entry{}, fmt.Errorf("process table: unexpected line %q", text)
	}
	fields := strings.Fields(string(text[closing+1:]))
	if len(fields) <= statStart-statState {
		return entry{}, fmt.Errorf("process table: %d fields after the name, want at least %d", len(fields), statStart-statState+1)
	}
	var errs []error
	number := func(field int) uint64 {
		n, err := strconv.ParseUint(fields[field-statState], 10, 64)
		if err != nil {
			errs = append(errs, fmt.Errorf("process table: field %d: %w", field, err))
		}
		return n
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text[:open])))
	if err != nil {
		errs = append(errs, fmt.Errorf("process table: %w", err))
	}
	state := fields[0]
	e := entry{
		pid:     pid,
		name:    string(text[open+1 : closing]),
		parent:  int(number(statParent)),
		session: int(number(statSession)),
		start:   number(statStart),
		kernel:  number(statFlags)&kernelThread != 0,
		// A process whose first thread has ended shows as a zombie while its other
		// threads run on.
		dead: state == "X" || state == "x" || state == "Z" && number(statThreads) <= 1,
	}
	return e, errors.Join(errs...)
}

// parseMark finds the mark in the text of /proc/PID/environ. Of several the
// first counts, as for getenv.
func parseMark(environ []byte) string {
	prefix := []byte(MarkVariable + "=")
	for len(environ) > 0 {
		var kv []byte
		kv, environ, _ = bytes.Cut(environ, []byte{0})
		if value, ok := bytes.CutPrefix(kv, prefix); ok {
			return string(value)
		}
	}
	return ""
}

// splitMark is the reverse of Command.mark. A vassal's name may contain "/".
func splitMark(text string) (mark, name string, generation uint64, ok bool) {
	mark, rest, ok1 := strings.Cut(text, "/")
	slash := strings.LastIndexByte(rest, '/')
	if !ok1 || slash < 0 {
		return "", "", 0, false
	}
	generation, err := strconv.ParseUint(rest[slash+1:], 10, 64)
	return mark, rest[:slash], generation, err == nil
}

// table is the processes of one moment, by number.
type table map[int]entry

// readTable reads every process, with its mark if asked for.
//
// A process that starts another and ends between its being listed and its being read
// would leave neither in the table. So the list is read again until it holds nobody
// who was not read: whoever runs then is in the table, or comes from one who is.
func readTable(marks bool) (table, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	defer proc.Close()
	t := make(table)
	for range maxListings {
		if _, err := proc.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("listing processes: %w", err)
		}
		names, err := proc.Readdirnames(-1)
		if err != nil {
			return nil, fmt.Errorf("listing processes: %w", err)
		}
		var unread []int
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				if _, read := t[pid]; !read {
					unread = append(unread, pid)
				}
			}
		}
		if len(unread) == 0 {
			break
		}
		t.read(unread, marks)
	}
	return t, nil
}

// maxListings ends the look at a machine on which others start processes without a
// pause.
const maxListings = 20

// readOwned reads /proc/PID/NAME where that is only for those who may trace the process,
// such as its environment, also that of another user's process without
// CAP_SYS_PTRACE, which root in a container usually lacks: access is then granted
// to the process's own user, and root may take that for its file accesses.
func readOwned(pid int, name string, buffer []byte) ([]byte, error) {
	text, err := readProc(pid, name, buffer)
	if err != unix.EACCES && err != unix.EPERM || os.Geteuid() != 0 {
		return text, err
	}
	return readAsOwner(pid, name, buffer)
}

// readAsOwner reads /proc/PID/NAME with the rights of the user whose process that
// is. Only root may.
func readAsOwner(pid int, name string, buffer []byte) ([]byte, error) {
	var owner unix.Stat_t
	if err := unix.Stat("/proc/"+strconv.Itoa(pid), &owner); err != nil {
		return nil, err
	}
	// These belong to the thread, not to the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	gid, _ := unix.SetfsgidRetGid(int(owner.Gid))
	uid, _ := unix.SetfsuidRetUid(int(owner.Uid))
	text, err := readProc(pid, name, buffer)
	unix.SetfsuidRetUid(uid)
	unix.SetfsgidRetGid(gid)
	return text, err
}

// readEntries reads those processes; one that has ended meanwhile is left out.
func readEntries(pids []int, marks bool) table {
	t := make(table, len(pids))
	t.read(pids, marks)
	return t
}

func (t table) read(pids []int, marks bool) {
	line, environ := make([]byte, 1024), make([]byte, 16<<10)
	for _, pid := range pids {
		e, err := readEntry(pid, line)
		if err != nil {
			continue
		}
		if marks && !e.dead && !e.kernel {
			if text, err := readSettledEnviron(pid, environ); err == nil {
				e.mark = parseMark(text)
				if cap(text) > cap(environ) {
					environ = text
				}
			}
		}
		t[pid] = e
	}
}

// readSettledEnviron is the environment of a process that may be amid an exec: until
// its new stack is made it has none at all, and would pass for one without a mark.
// None is believed only of a process that ran the same program before and after
// that was read: one that does exec after exec is in the next one after a moment.
func readSettledEnviron(pid int, buffer []byte) ([]byte, error) {
	before := ""
	for range 100 {
		text, err := readOwned(pid, "environ", buffer)
		if len(text) > 0 || err != nil {
			return text, err
		}
		after, err := readImage(pid)
		if err != nil {
			return nil, err
		}
		if after == before && after != "" {
			return nil, nil
		}
		if before = after; before == "" {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return nil, nil
}

// readImage tells one program that a process runs from the next: where its code and
// its stack are, the latter at random. It is empty amid an exec.
func readImage(pid int) (string, error) {
	read := readProc
	if os.Geteuid() == 0 {
		read = readAsOwner // others are shown the same for every program
	}
	line, err := read(pid, "stat", nil)
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	// A program is loaded when the kernel says where its code ends, right after it
	// has made the stack, with the environment (load_elf_binary).
	if len(fields) <= statStack-statState || fields[statCodeEnd-statState] == "0" {
		return "", nil
	}
	return strings.Join(fields[statCodeStart-statState:statStack-statState+1], " "), nil
}

// withDescendants adds to members everything that descends from them, and takes
// out what is dead, us, and PID 1.
func (t table) withDescendants(members map[int]bool) []entry {
	offspring := make(map[int][]int, len(t))
	for pid, e := range t {
		offspring[e.parent] = append(offspring[e.parent], pid)
	}
	pending := make([]int, 0, len(members))
	for pid := range members {
		pending = append(pending, pid)
	}
	for len(pending) > 0 {
		pid := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for _, child := range offspring[pid] {
			if !members[child] {
				members[child] = true
				pending = append(pending, child)
			}
		}
	}
	self := os.Getpid()
	var found []entry
	for pid := range members {
		if e, ok := t[pid]; ok && !e.dead && !e.kernel && pid != self && pid != 1 {
			found = append(found, e)
		}
	}
	return found
}
