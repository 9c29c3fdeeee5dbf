package emperor

import (
	"context"
	"slices"
	"syscall"
	"time"

	"emperor/internal/link"
	"emperor/internal/resource"
)

// lookAtLogs is how long lines may go on into a log file that was moved away, where
// nobody sends a SIGHUP.
const lookAtLogs = 2 * time.Second

// logFile is a file that the router writes to, as it was opened.
type logFile struct {
	path          string
	device, inode uint64
}

// openedLogs are those among resources and the descriptors that go with them.
func openedLogs(resources []link.Resource, descriptors []int) []logFile {
	var logs []logFile
	for i := range resources {
		r := &resources[i]
		var st syscall.Stat_t
		if r.Kind == link.Log && isLogFile(r.Path) && syscall.Fstat(descriptors[0], &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG {
			logs = append(logs, logFile{path: r.Path, device: st.Dev, inode: st.Ino})
		}
		descriptors = descriptors[r.Kind.Descriptors():]
	}
	return logs
}

func isLogFile(path string) bool { return path != resource.Stdout && path != resource.Stderr }

// moved tells whether the file's name stands for another file, or for none: it was
// rotated.
func (l logFile) moved() bool {
	var st syscall.Stat_t
	err := syscall.Stat(l.path, &st)
	return err == syscall.ENOENT || err == nil && (st.Dev != l.device || st.Ino != l.inode)
}

// keepsLogs tells whether the router writes to files.
func (m *Main) keepsLogs() bool {
	return slices.ContainsFunc(m.Front.Resources, func(r link.Resource) bool { return r.Kind == link.Log && isLogFile(r.Path) })
}

// followLogs opens log files anew that were moved away. What was written until then
// is in the file that it was written to.
func (r *routerChild) followLogs(ctx context.Context) {
	if r.live == nil || !slices.ContainsFunc(r.live.logs, logFile.moved) {
		return
	}
	if err := r.live.configure(ctx, *r.current); err != nil {
		r.log.Error("a log file was moved away and could not be opened anew; its lines still go to where it is now", "err", err)
		r.live.logs = nil // said once
		return
	}
	r.log.Info("a log file was moved away: it was opened anew")
}
