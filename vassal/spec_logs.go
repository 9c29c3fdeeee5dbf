package vassal

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
	uid, gid := -1, -1
	var after *rights.Writer
	if user := r.spec.command.user; user != nil {
		uid, gid = int(user.uid), int(user.gid)
		after = rights.WriterAs(user.user())
	}
	r.spec.logs = logsink.Reading{
		Config: r.c, Dir: dir, UID: uid, GID: gid, After: after,
		Files: []string{"daemonize", "daemonize2"},
		Hand:  func(v config.Value) *rights.Writer { return r.opener.Writer(v.Author) },
		Wrong: r.wrong, Warn: r.warn,
	}.Targets()
}
