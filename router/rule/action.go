package rule

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// An action is what a rule does when it matches.
type action interface {
	// apply carries the action out on d and says how routing goes on.
	apply(r *Rule, q *Query, d *Decision) flow
	// String returns the action in a normal form.
	String() string
}

// flow says what happens after an action.
type flow uint8

const (
	next flow = iota // the next rule has its turn
	stop             // routing ends with what d says
	jump             // go on at rule d.target
)

// A parser reads the arguments of one kind of action: all that follows the colon.
type parser func(arguments string, s *scope) (action, error)

// actions are the actions that this front has.
var actions = map[string]parser{
	"uwsgi":              parseUwsgi,
	"http":               parseHTTP,
	"vassal":             parseVassal,
	"redirect":           parseRedirect(302),
	"redirect-302":       parseRedirect(302),
	"redirect-permanent": parseRedirect(301),
	"redirect-301":       parseRedirect(301),
	"return":             parseReturn,
	"break-with-status":  parseReturn,
	"break":              parseBreak,
	"last":               parseLast,
	"continue":           parseLast,
	"goto":               parseGoto,
	"log":                parseLog,
	"addvar":             parseAddVar,
}

// otherActions are uWSGI's actions that this front does not have, and what to
// use instead. Several make no sense outside of a worker.
var otherActions = map[string]string{
	"proxyuwsgi": "write uwsgi:, which never blocks a worker here", "proxyhttp": "write http:", "httpdumb": "write http:",
	"httpconnect": "tunnels are not routed", "proxyhttpconnect": "tunnels are not routed",
	"static": "", "static-next": "", "file": "", "file-next": "", "sendfile": "", "sendfile-next": "", "fastfile": "", "fastfile-next": "",
	"rewrite": "", "rewrite-last": "", "addheader": "", "delheader": "", "remheader": "",
	"logvar": "write addvar: or log:", "donotlog": "", "donotoffload": "leave it out: nothing is offloaded here", "offload": "leave it out: nothing is offloaded here",
	"basicauth": "", "basicauth-next": "", "radius": "", "ldapauth": "", "spnego": "", "access": "",
	"hash": "", "expires": "", "gzip": "", "chunked": "", "toupper": "", "template": "", "tofile": "",
	"setmethod": "", "seturi": "", "setremoteaddr": "write addvar:REMOTE_ADDR=…", "setpathinfo": "", "setscheme": "write addvar:UWSGI_SCHEME=…",
	"setscriptname": "write addvar:SCRIPT_NAME=…", "setuser": "write addvar:REMOTE_USER=…", "setdocroot": "write addvar:DOCUMENT_ROOT=…",
	"setapp": "write addvar:UWSGI_APPID=…", "sethome": "write addvar:UWSGI_HOME=…", "setfile": "write addvar:UWSGI_FILE=…",
	"setmodifier1": "write uwsgi:,M1,M2 with an empty address", "setmodifier2": "write uwsgi:,M1,M2 with an empty address",
	"fixpathinfo": "", "setprocname": "a worker's business", "harakiri": "a worker's business: set it in the vassal", "chdir": "a worker's business: set it in the vassal",
	"signal": "a worker's business", "alarm": "", "+": "", "-": "", "*": "", "/": "", "flush": "", "fixcl": "", "forcecl": "",
	"clearheaders": "write return:CODE", "resetheaders": "write return:CODE", "disableheaders": "", "send": "write return:CODE TEXT", "send-crnl": "write return:CODE TEXT",
	"cache": "", "cache-continue": "", "cachestore": "", "cache-store": "", "cacheset": "", "cachevar": "", "cacheinc": "", "cachedec": "", "cachemul": "", "cachediv": "",
	"memcached": "", "memcached-continue": "", "memcachedstore": "", "redis": "", "redis-continue": "", "redisstore": "",
	"rpc": "", "call": "", "rpcret": "", "rpcnext": "", "rpcblob": "", "rpcraw": "", "rpcvar": "",
	"metricinc": "", "metricdec": "", "metricmul": "", "metricdiv": "", "metricset": "", "cgi": "", "cgihelper": "", "xattr": "",
	"disconnect": "write break:",
}

// parseAction reads "action:arguments".
func parseAction(text string, s *scope) (action, error) {
	name, arguments, found := strings.Cut(text, ":")
	if parse, ok := actions[name]; ok {
		if !found {
			return nil, fmt.Errorf("action %s: want %s: with a colon, and its arguments", name, name)
		}
		a, err := parse(arguments, s)
		if err != nil {
			return nil, fmt.Errorf("action %s: %w", name, err)
		}
		return a, nil
	}
	if instead, ok := otherActions[name]; ok && found {
		if instead == "" {
			instead = "the vassal itself can still use it: route to the vassal"
		}
		return nil, fmt.Errorf("action %s is uWSGI's and not available in the front: %s", name, instead)
	}
	if !found {
		return nil, fmt.Errorf("%q is no action, want ACTION:ARGUMENTS such as uwsgi:/run/sites/app.sock,0,0", text)
	}
	what := fmt.Sprintf("unknown action %q, want one of %s", name, strings.Join(actionNames(), " "))
	if strings.ContainsAny(name, `\()[]^$*+?| `) {
		what += ` (the pattern ends at the first space: write a space in it as \x20)`
	}
	return nil, errors.New(what)
}

func actionNames() []string {
	names := make([]string, 0, len(actions))
	for name := range actions {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// isFinal reports whether an action always decides, so that later rules have no
// turn when it ran.
func isFinal(a action) bool {
	switch a.(type) {
	case *uwsgiAction, *httpAction, *vassalAction, *redirectAction, *statusAction, *lastAction, *closeAction:
		return true
	}
	return false
}
