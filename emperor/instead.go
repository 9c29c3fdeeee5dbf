package emperor

import (
	"maps"
	"strings"

	"emperor/vassal/spec"
)

// instead are options of uWSGI's emperor that do nothing here, with what does what they
// were for.
var instead = map[string]string{
	"procname-prefix":           "emperor-procname is the whole name",
	"procname-prefix-spaced":    "emperor-procname is the whole name",
	"procname-append":           "emperor-procname is the whole name",
	"procname-master":           "there is no master: say emperor-procname",
	"auto-procname":             "the names are emperor and emperor router, unless emperor-procname says another",
	"emperor-magic-exec":        "not supported: no program is run to learn what a vassal is; let it write the file",
	"emperor-broodlord":         "not supported: a vassal gets more processes by cheaper, or by processes; what asks for reinforcement (vassal-sos) goes on without",
	"emperor-use-fork-server":   "not supported: each vassal is started by itself, as many at a time as the machine takes",
	"emperor-fork-server-attr":  "not supported: there are no fork servers",
	"vassal-fork-base":          "not supported: there are no fork servers",
	"fork-server":               "not supported: there are no fork servers",
	"fork-socket":               "not supported: there are no fork servers",
	"emperor-collect-attribute": "not supported: what a vassal is run with is said in its own file (binary-path, chdir)",
	"emperor-collect-attr":      "not supported: what a vassal is run with is said in its own file (binary-path, chdir)",
	"emperor-wrapper-attr":      "not supported: a vassal's own file says binary-path",
	"emperor-chdir-attr":        "not supported: a vassal's own file says chdir",
	"emperor-subreaper":         "the emperor adopts what vassals leave behind anyway",
	"imperial-monitor-list":     "there are two: dir://DIRECTORY and glob://GLOB, and either may be written without its scheme",
	"imperial-monitors-list":    "there are two: dir://DIRECTORY and glob://GLOB, and either may be written without its scheme",
	"zeus":                      "uWSGI never finished it",
}

// meaningless are all options that are accepted without effect, with the reason.
var meaningless = func() map[string]string {
	all := maps.Clone(habits)
	maps.Copy(all, instead)
	return all
}()

// routers are uWSGI's other front ends, by the first letters of their options' names: a
// main file with one of them loses a listener, which is more than an option of vassals in
// the wrong place.
var routers = map[string]string{
	"fastrouter": "not supported: the front speaks HTTP with the server before it (nginx: proxy_pass in place of uwsgi_pass, to the address of http), and what announced itself here says http-subscription-server; or let that server connect to the vassals' own sockets",
	"forkpty":    "not supported: there are no terminals here; a vassal of its own can be a uWSGI with these lines",
}

func init() {
	for _, o := range spec.ForeignOptions() {
		for prefix, why := range routers {
			if strings.HasPrefix(o.Name, prefix) {
				meaningless[o.Name] = why
			}
		}
	}
}
