package emperor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"emperor/internal/config"
	"emperor/internal/logsink"
	"emperor/internal/proc"
	"emperor/internal/rights"
	"emperor/internal/sysd"
	"emperor/vassal/logs"
)

// logOptions say where the log of the emperor goes, and with it the output of those
// vassals that have no other place for it.
var logOptions = append([]config.Option{
	{Name: "log-journal", Type: config.String, Argument: config.Optional, Where: config.Main,
		Help: "Send the log to systemd's journal as records with fields (VASSAL, GENERATION, STREAM, PRIORITY, SYSLOG_IDENTIFIER): true, the path of its socket, or false; default: true where stderr is the journal."},
}, slices.DeleteFunc(slices.Clone(logsink.OptionList), func(o config.Option) bool { return o.Name == "log-date" })...)

// readLogs reads where the emperor's log goes.
func (m *Main) readLogs(problems *config.Problems) {
	c := m.Config
	m.JSONLog = c.Bool("log-format-json")
	m.Journal = logsink.JournalSocket
	switch text := c.Text("log-journal"); text {
	case "false", "no", "off", "0":
		m.Journal = ""
	case "true", "yes", "on", "1", "":
	default:
		m.Journal = m.absolute(text)
	}
	m.journalAsked = c.Has("log-journal") && m.Journal != ""
	if m.App != nil {
		return // where an app's output goes is its own affair, as in uWSGI
	}
	tell := func(v config.Value, warning bool, format string, args ...any) {
		*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf(format, args...), Warning: warning})
	}
	uid, gid := -1, -1
	after := rights.WriterAs(nil)
	if user := m.vassalUser; user != nil {
		uid, gid = int(user.UID), int(user.GID)
		after = rights.WriterAs(&rights.User{UID: user.UID, GID: user.GID, Groups: user.Groups})
	}
	m.Logs = logsink.Reading{
		Config: c, Dir: m.Source.Dir, UID: uid, GID: gid, After: after,
		Hand:  func(config.Value) *rights.Writer { return rights.WriterAs(nil) },
		Wrong: func(v config.Value, format string, args ...any) { tell(v, false, format, args...) },
		Warn:  func(v config.Value, format string, args ...any) { tell(v, true, format, args...) },
	}.Targets()
}

// LogTargets are where the emperor's log goes; Stdio is stderr.
func (m *Main) LogTargets() []logsink.Target {
	targets := slices.Clone(m.Logs)
	journal := logsink.Target{Kind: logsink.Journal, Path: m.Journal}
	if m.journalAsked && !slices.Contains(targets, journal) {
		targets = append(targets, journal)
	}
	if len(targets) == 0 {
		targets = []logsink.Target{{}}
	}
	for i, t := range targets {
		if t.Kind != logsink.Stdio || m.Journal == "" || !sysd.StderrIsJournal() {
			continue
		}
		if info, err := os.Stat(m.Journal); err == nil && info.Mode().Type() == os.ModeSocket {
			targets[i] = journal
		}
	}
	return targets
}

// sameLogs tells whether the log would go to the same places.
func (m *Main) sameLogs(other *Main) bool {
	text := func(m *Main) string { return fmt.Sprintf("%+v %v %v %v", m.Logs, m.Journal, m.journalAsked, m.JSONLog) }
	return text(m) == text(other)
}

// logOrderTime is how long an order about log files may take: a disk may hang.
const logOrderTime = 5 * time.Second

// OrderLogs implements control.Emperor: log files are opened anew, or rotated; those of
// one vassal, or all for an empty name.
func (e *Emperor) OrderLogs(ctx context.Context, name string, rotate bool) error {
	view := e.view.Load()
	names := view.names
	if name != "" {
		if _, ok := view.vassals[name]; !ok {
			return fmt.Errorf("there is no vassal %q", name)
		}
		names = []string{name}
	}
	var logs []logs.File
	if name == "" && e.program.Logs != nil {
		for _, sink := range e.program.Logs.Sinks() {
			logs = append(logs, sink)
		}
	}
	for _, name := range names {
		for _, log := range view.vassals[name].site.LogFiles() {
			if !slices.Contains(logs, log) {
				logs = append(logs, log)
			}
		}
	}
	if name != "" && len(logs) == 0 {
		return fmt.Errorf("it has no log file of its own: what it writes is in the emperor's log")
	}
	ctx, cancel := context.WithTimeout(ctx, logOrderTime)
	defer cancel()
	var answers []<-chan error
	for _, log := range logs {
		if rotate {
			answers = append(answers, log.Rotate())
		} else {
			answers = append(answers, log.Reopen())
		}
	}
	var failures error
	for _, answer := range answers {
		select {
		case err := <-answer:
			failures = errors.Join(failures, proc.ExplainLimit(err))
		case <-ctx.Done():
			return errors.Join(failures, errors.New("a log does not answer: its disk or receiver may hang; the order is carried out when it does"))
		}
	}
	return failures
}

// reopenLogs has all log files opened anew, without waiting for it.
func (e *Emperor) reopenLogs() {
	go func() { // ends within logOrderTime
		if err := e.OrderLogs(context.Background(), "", false); err != nil {
			e.log.Error("log files could not be opened anew", "err", err)
		}
	}()
}
