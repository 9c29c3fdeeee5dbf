package spec

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"emperor/internal/config"
)

// Options are the options of a vassal's file that this package honours: ours,
// and those of uWSGI that tell us how to run it.
var Options = slices.Concat(userOptions, limitOptions, groupOptions, memoryOptions, []config.Option{
	// What to run.
	{Name: "command", Type: config.String, Where: config.Vassal, Help: "The program of a vassal that is not a uWSGI app; it gets the sockets by LISTEN_FDS and %(fd)."},
	{Name: "binary-path", Type: config.Path, Where: config.Vassal, Help: "The uwsgi program that runs this vassal."},
	{Name: "processes", Aliases: []string{"workers"}, Short: 'p', Type: config.Int, Where: config.Vassal, Help: "How many copies of the command share its sockets (uWSGI: workers)."},

	// Where it listens.
	{Name: "socket", Short: 's', Type: config.String, Repeat: true, Where: config.Vassal, Help: "Listen here, speaking what protocol says."},
	{Name: "uwsgi-socket", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Listen here, speaking uwsgi."},
	{Name: "http-socket", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Listen here, speaking HTTP."},
	{Name: "http11-socket", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Listen here, speaking HTTP/1.1 with keep-alive."},
	{Name: "fastcgi-socket", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Listen here, speaking FastCGI."},
	{Name: "scgi-socket", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Listen here, speaking SCGI."},
	{Name: "protocol", Aliases: []string{"socket-protocol"}, Type: config.String, Where: config.Vassal, Help: "What is spoken on socket: uwsgi (default for a uWSGI app), http (default for a command), fastcgi (a pool of PHP-FPM takes the socket with \"listen = /dev/fd/3\"), scgi; for a command also tcp: anything else (Redis, a mail server), which streams reach and requests do not."},
	{Name: "port", Type: config.String, Where: config.Vassal, Help: "auto: the command gets a free TCP port of its own as $PORT and %(port)."},
	{Name: "listen", Short: 'l', Type: config.Int, Min: 1, Where: config.Vassal, Help: "How many connections the kernel queues on each socket."},
	{Name: "chmod-socket", Aliases: []string{"chmod"}, Short: 'C', Type: config.Mode, Argument: config.Optional, Where: config.Vassal, Help: "Mode of the socket files."},
	{Name: "chown-socket", Type: config.String, Where: config.Vassal, Help: "Owner of the socket files, user or user:group."},

	// How it runs.
	{Name: "chdir", Type: config.Path, Where: config.Vassal, Help: "Working directory; relative sockets start here."},
	{Name: "env", Type: config.KeyValue, Repeat: true, Where: config.Vassal, Help: "Set an environment variable."},
	{Name: "unenv", Type: config.String, Repeat: true, Where: config.Vassal, Help: "Remove an environment variable."},
	{Name: "envdir", Type: config.Path, Repeat: true, Where: config.Vassal, Help: "Set variables from the files of a directory: name of the file, its first line."},
	{Name: "uid", Type: config.String, Where: config.Vassal, Help: "Run as this user."},
	{Name: "gid", Type: config.String, Where: config.Vassal, Help: "Run as this group."},
	{Name: "umask", Type: config.String, Where: config.Vassal, Help: "File mode creation mask, octal."},

	// Its life.
	{Name: "overlap", Type: config.Bool, Default: "true", Where: config.Vassal, Help: "Whether a new generation may run beside the old one; false: requests wait while one goes and the other comes."},
	{Name: "stop-signal", Type: config.String, Default: "TERM", Where: config.Vassal, Help: "The signal that asks a command to end."},
	{Name: "stop-timeout", Type: config.Seconds, Min: 1, Where: config.Vassal, Help: "How long a command may take to end before it is killed."},
	{Name: "reload-mercy", Type: config.Seconds, Where: config.Vassal, Help: "How long an old generation may finish what it has."},
	{Name: "worker-reload-mercy", Type: config.Seconds, Where: config.Vassal, Help: "As reload-mercy, which wins where both are given."},
}, healthOptions, sleepOptions, helperOptions, touchOptions, staticOptions, logOptions)

//go:embed foreign.txt
var foreignTable string

// ForeignOptions are the remaining options of uWSGI 2.0.21 and its plugins, so
// that a typing error can be told from an option that is uWSGI's business.
// Names declared by Options are not among them. They are marked Ignored, so that
// any package's own declaration of the name wins when the two are joined.
func ForeignOptions() []config.Option {
	ours := map[string]bool{}
	for _, o := range Options {
		ours[o.Name] = true
		for _, alias := range o.Aliases {
			ours[alias] = true
		}
	}
	var out []config.Option
	for line := range strings.Lines(foreignTable) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] == "#" || ours[fields[0]] {
			continue
		}
		o := config.Option{Name: fields[0], Repeat: true, Ignored: "uWSGI reads it; the emperor does nothing with it itself"}
		switch fields[1] {
		case "none":
			o.Type, o.Argument = config.Flag, config.None
		case "optional":
			o.Argument = config.Optional
		default:
			o.Argument = config.Required
		}
		if len(fields) > 2 {
			o.Short = fields[2][0]
		}
		out = append(out, o)
	}
	return out
}

// vassalOptions is the set a vassal's file is read with.
var vassalOptions = sync.OnceValues(func() (*config.Set, error) {
	return config.NewSet(Options, ForeignOptions())
})
