package control

import (
	"io"
	"time"
)

// WriteStatus writes what `emperor status` shows: one line per vassal. now is what
// ages are counted to.
func WriteStatus(w io.Writer, s Status, now time.Time) error { return nil }

// WriteWhy writes what `emperor why NAME` shows: the state, since when, why, the
// mistakes of the last edit, and the last log lines.
func WriteWhy(w io.Writer, v VassalStatus, now time.Time) error { return nil }

// WriteLogLine writes what `emperor logs NAME` shows of one line.
func WriteLogLine(w io.Writer, l LogLine) error { return nil }

// WriteJSON writes v indented, for --json.
func WriteJSON(w io.Writer, v any) error { return nil }
