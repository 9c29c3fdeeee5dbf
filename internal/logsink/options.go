package logsink

import "emperor/internal/config"

// OptionList are those about logs that the main file and a vassal that is no uWSGI have
// in common. (A uWSGI writes its own.)
var OptionList = []config.Option{
	{Name: "logto", Type: config.String, Where: config.Both,
		Help: "Write the log to this file, or to host:port by UDP; in the main file that of the emperor and of all vassals that have no other. A file that is moved away is opened anew within a second."},
	{Name: "logto2", Type: config.String, Where: config.Both,
		Help: "As logto; the file is opened by the user the vassals run as (uid)."},
	{Name: "logger", Type: config.String, Repeat: true, Where: config.Both,
		Help: "Write the log there: file:PATH (or file:logfile=PATH,maxsize=N,backupname=PATH), syslog:NAME,FACILITY, rsyslog:HOST:PORT,NAME, socket:ADDRESS,PREFIX (a datagram a line), systemd (the journal), stdio (as without it). Several lines: to each."},
	{Name: "log-syslog", Type: config.String, Argument: config.Optional, Where: config.Both,
		Help: "As logger = syslog, or logger = syslog:VALUE."},
	{Name: "log-socket", Type: config.String, Where: config.Both,
		Help: "As logger = socket:VALUE."},
	{Name: "log-maxsize", Type: config.Size, Where: config.Both,
		Help: "Rotate a log file that is larger: it gets the time (seconds since 1970) behind its name, and a new one begins. No line is lost or cut."},
	{Name: "log-backupname", Type: config.Path, Where: config.Both,
		Help: "Name of a rotated log file, instead of one with the time; the one before is replaced."},
	{Name: "log-backups", Type: config.Int, Min: 1, Where: config.Both,
		Help: "Keep that many rotated log files and remove older ones; default: all stay."},
	{Name: "log-truncate", Type: config.Flag, Where: config.Both,
		Help: "Begin with an empty log file."},
	{Name: "log-reopen", Type: config.Flag, Where: config.Both,
		Help: "Accepted: log files are opened anew with SIGHUP, by emperor logs --reopen, and when they were moved away."},
	{Name: "logfile-chmod", Type: config.Mode, Where: config.Both,
		Help: "Mode of log files; default 640."},
	{Name: "logfile-chown", Type: config.Flag, Where: config.Both,
		Help: "Give log files to uid and gid."},
	{Name: "log-date", Aliases: []string{"logdate", "log-prefix"}, Type: config.String, Argument: config.Optional, Where: config.Both,
		Help: "Put the date before each line of a vassal's log file, \"Sat Nov 21 09:28:33 2026 - \" or what a format of strftime says. The emperor's log has it anyway."},
	{Name: "touch-logreopen", Type: config.Path, Repeat: true, Where: config.Both,
		Help: "Open log files anew when this file is touched."},
	{Name: "touch-logrotate", Type: config.Path, Repeat: true, Where: config.Both,
		Help: "Rotate log files when this file is touched."},
	{Name: "log-format-json", Aliases: []string{"log-json"}, Type: config.Bool, Default: "false", Where: config.Both,
		Help: "Write the log as one JSON object per line."},
}
