package emperor

import (
	"maps"
	"slices"

	"emperor/internal/config"
	"emperor/vassal/spec"
)

// Options are the options of the main file that this package honours.
var Options = slices.Concat([]config.Option{
	// Which vassals.
	{Name: "emperor", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Where vassal files are: a directory, a glob such as %dvassals.d/*.ini, dir://DIRECTORY or glob://GLOB."},
	{Name: "emperor-freq", Type: config.Seconds, Default: "3", Where: config.Main,
		Help: "Seconds between two scans for vassal files. They find what the kernel does not report: changes on network and overlay file systems, of files mounted one by one or with several hard links, or beyond inotify's limits; anything else is live at once. Without this line scans are rarer (30 ms for each file, a minute at most) where the kernel reports everything; with it they are that far apart everywhere, as in uWSGI."},
	{Name: "emperor-nofollow", Type: config.Flag, Where: config.Main,
		Help: "Look at symlinks themselves, not at the files they lead to: touching a shared target then reloads nobody."},
	{Name: "emperor-extra-extension", Aliases: []string{"emperor-extra-ext"}, Type: config.String, Repeat: true, Where: config.Main,
		Help: "A further ending of vassal files (\".conf\"), beside .ini .xml .yml .yaml .js .json."},

	// What holds for all of them.
	{Name: "vassal-set", Aliases: []string{"vassals-set"}, Type: config.KeyValue, Repeat: true, Where: config.Main,
		Help: "OPTION=VALUE for every vassal, unless its own file says otherwise; %%n is the vassal's name."},
	{Name: "vassals-include", Aliases: []string{"vassal-include"}, Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Include this file after each vassal's own."},
	{Name: "vassals-include-before", Aliases: []string{"vassal-include-before"}, Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Include this file before each vassal's own."},
	{Name: "vassals-inherit", Aliases: []string{"vassal-inherit"}, Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Inherit this file in each vassal: its options win over the vassal's."},
	{Name: "vassals-inherit-before", Aliases: []string{"vassal-inherit-before"}, Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Inherit this file in each vassal before vassals-inherit; its options, too, win over the vassal's, as in uWSGI."},
	{Name: "binary-path", Type: config.Path, Where: config.Both,
		Help: "The uwsgi program that runs vassals which are uWSGI apps; default: uwsgi on PATH."},
	{Name: "emperor-wrapper", Type: config.Path, Where: config.Main,
		Help: "As binary-path, which it beats."},
	{Name: "emperor-wrapper-override", Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Try this program before the one that runs uWSGI vassals; the first that can be started is."},
	{Name: "emperor-wrapper-fallback", Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Try this program where the one that runs uWSGI vassals cannot be started."},
	{Name: "env", Type: config.KeyValue, Repeat: true, Where: config.Both,
		Help: "Set an environment variable; in the main file for all vassals."},
	{Name: "unenv", Type: config.String, Repeat: true, Where: config.Both,
		Help: "Remove an environment variable; in the main file for all vassals."},
	{Name: "strict", Type: config.Flag, Where: config.Both,
		Help: "Unknown options are errors."},

	// Those that start when somebody wants something of them.
	{Name: "emperor-on-demand-extension", Aliases: []string{"emperor-on-demand-ext"}, Type: config.String, Where: config.Main,
		Help: "A vassal whose file has a neighbour of the same name with this added (.socket) starts on demand: at the first connection to the address that the neighbour holds."},
	{Name: "emperor-on-demand-directory", Aliases: []string{"emperor-on-demand-dir"}, Type: config.Path, Where: config.Main,
		Help: "Every vassal starts on demand: at the first connection to DIRECTORY/NAME.socket."},
	{Name: "emperor-on-demand-exec", Type: config.String, Where: config.Main,
		Help: "Run this command with each vassal's name added; the address that it prints makes the vassal start on demand, nothing printed at once. check and plan do not run it."},

	// Lives.
	{Name: "emperor-throttle", Type: config.Milliseconds, Default: "1000", Where: config.Main,
		Help: "Milliseconds before a vassal that did not start, or died within 10 seconds, is started again; doubles with each failure. An edit of its file or an order starts it at once."},
	{Name: "emperor-max-throttle", Type: config.Milliseconds, Default: "180000", Where: config.Main,
		Help: "Milliseconds that emperor-throttle grows to at most."},
	{Name: "emperor-no-blacklist", Type: config.Flag, Where: config.Main,
		Help: "The pause before a vassal that failed is started again does not grow: it is emperor-throttle each time."},
	{Name: "reload-mercy", Type: config.Seconds, Min: 1, Where: config.Both,
		Help: "Seconds that an old generation may take to finish its requests; default 600."},
	{Name: "emperor-curse-tolerance", Type: config.Seconds, Min: 1, Where: config.Main,
		Help: "Seconds that a vassal may take to end before it is killed; default 10."},

	// Running.
	{Name: "watch-config", Type: config.Bool, Default: "true", Where: config.Main,
		Help: "Apply edits of the main file and of what it includes at once; without it only SIGHUP does."},
	{Name: "control", Type: config.Path, Where: config.Main,
		Help: "Path of the control socket (emperor status …), or none; default /run/emperor.sock as root, else in $XDG_RUNTIME_DIR or /tmp."},
	{Name: "pidfile", Type: config.Path, Repeat: true, Where: config.Main,
		Help: "Write the emperor's process number there; the file is removed at exit."},
	{Name: "pidfile2", Type: config.Path, Repeat: true, Where: config.Main, Help: "As pidfile."},
	{Name: "safe-pidfile", Type: config.Path, Repeat: true, Where: config.Main, Help: "As pidfile."},
	{Name: "safe-pidfile2", Type: config.Path, Repeat: true, Where: config.Main, Help: "As pidfile."},
	{Name: "emperor-pidfile", Type: config.Path, Repeat: true, Where: config.Main, Help: "As pidfile."},
	{Name: "uid", Type: config.String, Where: config.Both,
		Help: "User who runs this vassal; in the main file: all vassals that do not say, and the router unless http-uid is given."},
	{Name: "gid", Type: config.String, Where: config.Both,
		Help: "Group, as uid."},
	{Name: "http-uid", Type: config.String, Where: config.Main,
		Help: "User who runs the router when the emperor is root; default: uid, else nobody."},
	{Name: "http-gid", Type: config.String, Where: config.Main,
		Help: "Group who runs the router; default: gid, else the group of its user."},
	{Name: "chmod-socket", Aliases: []string{"chmod"}, Short: 'C', Type: config.Mode, Argument: config.Optional, Where: config.Both,
		Help: "Mode of socket files; in the main file those of the front, default 666."},
	{Name: "die-on-term", Type: config.Flag, Where: config.Both, Help: "Accepted: SIGTERM always ends the emperor, and its vassals with it."},
}, healthOptions, hookOptions, tyrantOptions, logOptions, orderOptions, statsOptions)

// habits are uWSGI's options that main files carry by habit: accepted, and
// listed by `emperor check` with the reason why they do nothing.
var habits = map[string]string{
	"master":                    "the emperor itself serves no app and has no workers",
	"processes":                 "the emperor itself serves no app; say it in a vassal, or by vassal-set = processes=N",
	"threads":                   "the emperor itself serves no app; say it in a vassal, or by vassal-set = threads=N",
	"enable-threads":            "the emperor itself serves no app",
	"single-interpreter":        "the emperor itself serves no app",
	"lazy-apps":                 "the emperor itself serves no app",
	"need-app":                  "the emperor itself serves no app",
	"thunder-lock":              "the emperor itself serves no app",
	"no-orphans":                "no process outlives the emperor anyway",
	"plugin":                    "emperor and router are built in; a vassal loads its own plugins",
	"plugins":                   "emperor and router are built in; a vassal loads its own plugins",
	"need-plugin":               "emperor and router are built in; a vassal loads its own plugins",
	"plugins-dir":               "emperor and router are built in; a vassal loads its own plugins",
	"autoload":                  "emperor and router are built in",
	"vacuum":                    "sockets and pidfiles are removed at exit anyway",
	"log-master":                "every line passes through the emperor anyway",
	"log-master-bufsize":        "lines up to 64 KiB are kept whole anyway",
	"log-master-stream":         "every line passes through the emperor anyway",
	"threaded-logger":           "each log has a writer of its own anyway",
	"log-route":                 "not supported: each logger gets every line",
	"log-filter":                "not supported: each logger gets every line",
	"log-drain":                 "not supported: each logger gets every line",
	"log-encoder":               "not supported; log-json = true makes each line a JSON object",
	"req-logger":                "the front's requests are logged by http-log",
	"log-date":                  "each line of the log has its time anyway",
	"early-emperor":             "nothing comes before the emperor",
	"daemonize":                 "the emperor stays in the foreground: let systemd, or whoever starts it, put it into the background; for its log: logto",
	"daemonize2":                "the emperor stays in the foreground: let systemd, or whoever starts it, put it into the background; for its log: logto",
	"chdir":                     "relative paths count from the directory in which the emperor was started",
	"listen":                    "the front's sockets take the system's limit (net.core.somaxconn)",
	"http-workers":              "one router process uses all processors",
	"http-processes":            "one router process uses all processors",
	"http-events":               "the router takes as many events as there are",
	"buffer-size":               "vassals: give it by vassal-set; the front's limit is http-head-size",
	"http-buffer-size":          "the front's limit is http-head-size",
	"http-quiet":                "what is said about requests is bounded anyway",
	"http-harakiri":             "no request can hold up the router",
	"http-post-buffering-dir":   "bodies that have to wait do so in the emperor's TMPDIR: set that",
	"http-manage-rtsp":          "not supported: RTSP is no HTTP; let its server listen at a port of its own (554), or put a proxy for TCP before it",
	"http-use-cache":            "not supported: uWSGI's caches are not here; a rule (route-host = ^www\\.example\\.com$ uwsgi:ADDRESS) or http-use-pattern = /run/%%s.sock says where a host goes, and what changes while it runs announces itself (http-subscription-server)",
	"http-use-code-string":      "not supported: no language runs here; a rule (route-host = ^(\\w+)\\.example\\.com$ uwsgi:/run/$1.sock) or http-use-pattern = /run/%%s.sock says where a host goes, and what changes while it runs announces itself (http-subscription-server)",
	"http-use-socket":           "requests go to the socket of the app in the same file anyway; another one is named by http-to",
	"sslrouter-processes":       "one router process uses all processors",
	"sslrouter-workers":         "one router process uses all processors",
	"sslrouter-events":          "the router takes as many events as there are",
	"sslrouter-quiet":           "what is said about connections is bounded anyway",
	"sslrouter-buffer-size":     "a stream's buffers are as large as its speed needs",
	"sslrouter-harakiri":        "no stream can hold up the router",
	"sslrouter-max-retries":     "each address is tried once",
	"sslrouter-gracetime":       "http-gracetime counts for streams, too",
	"sslrouter-use-cache":       "not supported: uWSGI's caches are not here; route-sni = ^(\\w+)\\.example\\.com$ pass:/run/$1.sock says where a name goes",
	"sslrouter-use-code-string": "not supported: no language runs here; route-sni = ^(\\w+)\\.example\\.com$ pass:/run/$1.sock says where a name goes",
	"sslrouter-use-socket":      "connections go to the addresses that are written down",
	"sslrouter-stats":           "http-stats shows streams, too",
	"sslrouter-stats-server":    "http-stats shows streams, too",
	"sslrouter-ss":              "http-stats shows streams, too",
	"sslrouter-zerg":            "not supported: the emperor opens the listeners of streams itself",
	"sslrouter-cheap":           "listeners stay open: connections that nobody can take are closed with a line that says why",
	"rawrouter-processes":       "one router process uses all processors",
	"rawrouter-workers":         "one router process uses all processors",
	"rawrouter-events":          "the router takes as many events as there are",
	"rawrouter-quiet":           "what is said about connections is bounded anyway",
	"rawrouter-buffer-size":     "a stream's buffers are as large as its speed needs",
	"rawrouter-harakiri":        "no stream can hold up the router",
	"rawrouter-max-retries":     "each address is tried once",
	"rawrouter-gracetime":       "http-gracetime counts for streams, too",
	"rawrouter-use-cache":       "not supported: uWSGI's caches are not here; route-sni = ^(\\w+)\\.example\\.com$ pass:/run/$1.sock says where a name goes",
	"rawrouter-use-code-string": "not supported: no language runs here; route-sni = ^(\\w+)\\.example\\.com$ pass:/run/$1.sock says where a name goes",
	"rawrouter-use-socket":      "connections go to the addresses that are written down",
	"rawrouter-stats":           "http-stats shows streams, too",
	"rawrouter-stats-server":    "http-stats shows streams, too",
	"rawrouter-ss":              "http-stats shows streams, too",
	"rawrouter-zerg":            "not supported: the emperor opens the listeners of streams itself",
	"rawrouter-cheap":           "listeners stay open: connections that nobody can take are closed with a line that says why",
	"so-keepalive":              "TCP keep-alive is always on",
	"emperor-graceful-shutdown": "requests under way are always finished",
}

// WithoutEffect returns uWSGI's options that main files carry by habit, with the
// reason why they do nothing in one.
func WithoutEffect() map[string]string { return maps.Clone(meaningless) }

// refused are options without which a vassal would run with more rights, or as
// somebody else, than the file says: going on would be worse than stopping.
var refused = map[string]string{
	"emperor-use-clone": "not supported: vassals would not be put into namespaces of their own",
	"chroot":            "not supported in the main file: the emperor would not be confined",
	"unshare":           "not supported in the main file: the emperor would not be confined",
	"unshare2":          "not supported in the main file: the emperor would not be confined",
	"pivot-root":        "not supported in the main file: the emperor would not be confined",
	"pivot_root":        "not supported in the main file: the emperor would not be confined",
	"namespace":         "not supported in the main file: the emperor would not be confined",
	"ns":                "not supported in the main file: the emperor would not be confined",
	"cap":               "not supported in the main file: the emperor would keep all capabilities",
}

// Refused returns the options that a main file may not have, with the reason.
func Refused() map[string]string { return maps.Clone(refused) }

// foreign is why an option that only vassals have does nothing in the main file.
const foreign = "has a meaning in a vassal's file only; for all vassals: vassal-set"

// NewSet joins all options of the main file: ours, the router's, and, marked
// Ignored, all those of vassals and of uWSGI itself.
func NewSet(routerOptions []config.Option) (*config.Set, error) {
	declared := map[string]bool{}
	for _, group := range [][]config.Option{Options, routerOptions, config.Language} {
		for _, o := range group {
			declared[o.Name] = true
			for _, alias := range o.Aliases {
				declared[alias] = true
			}
		}
	}
	var rest []config.Option
	for _, group := range [][]config.Option{spec.Options, spec.ForeignOptions()} {
		for _, o := range group {
			if declared[o.Name] {
				continue
			}
			// As text: what a value should look like is not our business here.
			argument := o.Argument
			if argument == config.ByType && (o.Type == config.Bool || o.Type == config.Flag) {
				argument = config.Optional
			}
			o.Argument, o.Type, o.Min, o.Max, o.Default = argument, config.String, 0, 0, ""
			o.Repeat = true
			o.Where, o.Ignored = config.Both, foreign // Both: the reason is told once, by us
			if why, ok := meaningless[o.Name]; ok {
				o.Ignored = why
			}
			rest = append(rest, o)
			declared[o.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(meaningless)) {
		if !declared[name] { // of another version of uWSGI
			rest = append(rest, config.Option{Name: name, Type: config.String, Argument: config.Optional, Repeat: true, Where: config.Both, Ignored: meaningless[name]})
		}
	}
	set, err := config.NewSet(Options, routerOptions, rest)
	if err != nil {
		return nil, err
	}
	var old []string
	for _, o := range set.All() {
		for _, name := range append([]string{o.Name}, o.Aliases...) {
			if spec.KnownToUWSGI(name) {
				old = append(old, name)
			}
		}
	}
	set.KeepAbbreviations(old)
	return set, nil
}
