package emperor

import (
	"fmt"

	"emperor/internal/proc"
)

// What descriptors are needed for: sockets, output, control and the process itself
// of each vassal; the log, the front's sockets, the router and the watches of the
// emperor. Twice the former while a vassal changes.
const (
	filesPerVassal = 6
	filesOfOurs    = 32
)

// tooFewFiles says that so many vassals need more files than this process may
// open, before they fail one by one; empty when they do not.
func tooFewFiles(vassals int, limit uint64) string {
	need := uint64(filesOfOurs + filesPerVassal*vassals)
	if limit == 0 || need <= limit {
		return ""
	}
	return fmt.Sprintf("the emperor may have no more than %d files open (RLIMIT_NOFILE), and needs about %d for %d vassals, twice as many while they change: some will not start; %s",
		limit, need, vassals, proc.RaiseOpenFiles)
}

// warnOfFiles says it once, and again when it has become worse by half.
func (e *Emperor) warnOfFiles() {
	vassals := len(e.snapshot.Items)
	if text := tooFewFiles(vassals, proc.OpenFiles()); text != "" && vassals >= e.warnedFor+e.warnedFor/2 {
		e.warnedFor = max(vassals, 1)
		e.log.Warn(text)
	}
}
