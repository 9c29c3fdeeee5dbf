package monitor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const mountTable = "/proc/self/mountinfo"

// mounts knows which files are mount points of their own, as containers get single
// files of their host. What is written at their other end causes no event in the
// directory in which they are mounted.
type mounts struct {
	// table is the descriptor of mountTable, 0: none. The kernel says on it when
	// something is mounted, once: Go's poller must not have it.
	table int
	// of are the mount points in the places at the last look.
	of []string
}

func (m *mounts) close() {
	if m.table != 0 {
		_ = syscall.Close(m.table)
		m.table = 0
	}
}

// anyFile looks at the mounts and tells whether one may be a file that matters; where
// the mounts are not known it may.
func (m *mounts) anyFile(in places, extra []string) bool {
	m.changed() // before the look: what is mounted after it is news
	var known bool
	if m.of, known = mountsIn(in, extra); !known {
		return true
	}
	return slices.ContainsFunc(m.of, func(point string) bool {
		_, path, _ := strings.Cut(point, " ")
		var st syscall.Stat_t
		return stat(path, &st) != nil || !isKind(&st, syscall.S_IFDIR)
	})
}

// moved tells whether something was mounted, or unmounted, that matters.
func (m *mounts) moved(in places, extra []string) bool {
	if !m.changed() {
		return false
	}
	now, known := mountsIn(in, extra)
	return !known || !slices.Equal(now, m.of)
}

// changed tells whether any mount has changed since it was asked last.
func (m *mounts) changed() bool {
	if m.table == 0 {
		table, err := syscall.Open(mountTable, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return true
		}
		m.table = table
	}
	ask := []unix.PollFd{{Fd: int32(m.table), Events: unix.POLLPRI}}
	n, err := unix.Poll(ask, 0)
	return n > 0 || err != nil
}

// mountsIn are the mount points whose names matter in the places, each with the number
// of its mount.
func mountsIn(in places, extra []string) (points []string, known bool) {
	table, err := os.ReadFile(mountTable)
	if err != nil {
		return nil, false
	}
	for line := range strings.Lines(string(table)) {
		// 36 35 98:0 /root/of/it /where/it/is rw,noatime … (proc_pid_mountinfo(5))
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		path := unescapeOctal(fields[4])
		if in.matters(filepath.Dir(path), filepath.Base(path), extra) {
			points = append(points, fields[0]+" "+path)
		}
	}
	return points, true
}

// unescapeOctal undoes how the kernel writes blanks and backslashes: \040.
func unescapeOctal(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if c, ok := octal(text[i+1 : i+4]); ok {
				b.WriteByte(c)
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func octal(digits string) (c byte, ok bool) {
	n := 0
	for _, d := range []byte(digits) {
		if d < '0' || d > '7' {
			return 0, false
		}
		n = n*8 + int(d-'0')
	}
	return byte(n), n < 256
}
