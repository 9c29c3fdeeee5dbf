package spec

import (
	"path/filepath"

	"emperor/internal/config"
	"emperor/internal/logsink"
	"emperor/internal/rights"
)

// logOptions say where the output of a command goes. A uWSGI reads them itself.
var logOptions = append([]config.Option{
	{Name: "daemonize", Short: 'd', Type: config.String, Where: config.Vassal, Help: "As logto: a vassal stays the emperor's child."},
	{Name: "daemonize2", Type: config.String, Where: config.Vassal, Help: "As daemonize."},
}, logsink.OptionList...)

// readLogs reads where a command's output goes. As in uWSGI, relative paths count from
// where the vassal starts, before chdir.
func (r *reader) readLogs() {
	dir := r.Dir
	if r.app == nil {
		dir = filepath.Dir(r.spec.File)
	}
	for _, v := range r.c.All("log-route", "log-filter", "log-drain", "log-encoder") {
		r.warn(v, "no effect: each logger gets every line, as the program wrote it (log-json = true makes it a JSON object)")
	}
	uid, gid := -1, -1
	var after *rights.Writer
	if user := r.spec.Command.User; user != nil {
		uid, gid = int(user.UID), int(user.GID)
		after = rights.WriterAs(user.user())
	}
	r.spec.Logs = logsink.Reading{
		Config: r.c, Dir: dir, UID: uid, GID: gid, After: after,
		Files: []string{"daemonize", "daemonize2"},
		Hand:  func(v config.Value) *rights.Writer { return r.opener.Writer(v.Author) },
		Wrong: r.wrong, Warn: r.warn,
	}.Targets()
}

// warnOfOwnLogs: what is ours about logs does nothing where uWSGI writes them.
func (r *reader) warnOfOwnLogs() {
	for _, v := range r.c.All("log-backups", "log-format-json") {
		if !r.c.UsedPlaceholders[v.Key] && r.app == nil {
			r.warn(v, "no effect: uWSGI writes its log itself")
		}
	}
}
