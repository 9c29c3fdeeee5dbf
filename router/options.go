package router

import (
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/router/rule"
)

// Options are the options of the main file that the front honours.
var Options = slices.Concat([]config.Option{
	{Name: "http-timeout", Type: config.Seconds, Min: 1, Default: "60", Where: config.Main,
		Help: "How long a vassal may take until its first byte, and be silent after it."},
	{Name: "http-headers-timeout", Type: config.Seconds, Min: 1, Default: "10", Where: config.Main,
		Help: "How long a client may take to send a whole request head."},
	{Name: "http-connect-timeout", Type: config.Seconds, Min: 1, Default: "3", Where: config.Main,
		Help: "How long connecting to a vassal may take."},
	{Name: "http-keepalive", Type: config.Int, Argument: config.Optional, Default: "1", Where: config.Main,
		Help: "Keep client connections open between requests; a number above 1 is the idle time in seconds, 0 closes after each."},
	{Name: "http-keepalive-timeout", Type: config.Seconds, Min: 1, Default: "95", Where: config.Main,
		Help: "How long an idle client connection stays open; longer than the platforms' routers keep theirs."},
	{Name: "http-vassal-keepalive", Type: config.Seconds, Default: "30", Where: config.Main,
		Help: "How long an idle connection to a vassal that speaks HTTP is kept for other requests; less where the vassal says so (Keep-Alive: timeout), 0 makes a new one for each."},
	{Name: "http-websocket-timeout", Type: config.Seconds, Min: 1, Default: "3600", Where: config.Main,
		Help: "How long an upgraded connection may be silent in both directions."},
	{Name: "http-auto-chunked", Type: config.Bool, Default: "true", Where: config.Main,
		Help: "Send responses of unknown length in chunks, so that the connection stays open."},
	{Name: "http-websockets", Type: config.Bool, Default: "true", Where: config.Main,
		Help: "Let requests upgrade their connection (websockets)."},
	{Name: "http-manage-expect", Type: config.Int, Argument: config.Optional, Default: "0", Where: config.Main,
		Help: "Answer \"Expect: 100-continue\" before a vassal is asked; a number above 1 refuses longer bodies with 413."},
	{Name: "http-chunked-input", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Send chunked request bodies to uwsgi vassals as chunks, for apps that read them with uwsgi.chunked_read(); otherwise they are decoded and their length is told."},
	{Name: "http-server-name-as-http-host", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Pass the Host as SERVER_NAME instead of this machine's name."},
	{Name: "http-modifier1", Aliases: []string{"http-socket-modifier1"}, Type: config.Int, Max: 255, Default: "0", Where: config.Main,
		Help: "Send uwsgi requests with this modifier1 whatever the rule says."},
	{Name: "http-modifier2", Aliases: []string{"http-socket-modifier2"}, Type: config.Int, Max: 255, Default: "0", Where: config.Main,
		Help: "Send uwsgi requests with this modifier2 whatever the rule says."},
	{Name: "http-var", Type: config.KeyValue, Repeat: true, Where: config.Main,
		Help: "Add NAME=VALUE to the variables of every uwsgi, FastCGI and SCGI request; ${…} in VALUE is filled in as in rules: VISITOR=${REMOTE_ADDR}, SESSION=${cookie[id]}."},
	{Name: "http-trusted-proxies", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Whose X-Forwarded-* fields are believed: addresses, networks, unix, default (loopback, unix, private ranges) or none."},
	{Name: "http-head-size", Type: config.Size, Min: 1024, Max: 60 << 10, Default: "32768", Where: config.Main,
		Help: "Greatest size of a request head in bytes."},
	{Name: "http-head-fields", Type: config.Int, Min: 10, Max: 1000, Default: "100", Where: config.Main,
		Help: "Greatest number of fields in a request head."},
	{Name: "http-hold", Type: config.Int, Default: "1000", Where: config.Main,
		Help: "How many requests may wait for vassals that are starting, in all."},
	{Name: "http-hold-vassal", Type: config.Int, Default: "100", Where: config.Main,
		Help: "How many requests may wait for one vassal that is starting."},
	{Name: "http-hold-timeout", Type: config.Seconds, Min: 1, Default: "30", Where: config.Main,
		Help: "How long a request may wait for a vassal that is starting."},
}, streamOptions, streamSubscriptionOptions, coalescingOptions, sharedOptions, listenerOptions, certificateOptions, acmeOptions, mappingOptions, nodeOptions, subscriptionOptions, announcedPairOptions, upstreamTLSOptions, headerOptions, loggingOptions, pageOptions, protectionOptions, compressionOptions, ruleOptions())

// ruleOptions declares the directives of the route language.
func ruleOptions() []config.Option {
	keys := rule.Keys()
	declared := make([]config.Option, 0, len(keys))
	for _, key := range keys {
		declared = append(declared, config.Option{Name: key, Type: config.String, Repeat: true, Where: config.Main, Help: ruleHelp(key)})
	}
	return declared
}

func ruleHelp(key string) string {
	switch key {
	case "route-host":
		return "REGEX ACTION: what to do with requests whose host matches; uwsgi:SOCKET,0,0, http:SOCKET, vassal:NAME, redirect:URL, return:CODE …; $1 is the first group."
	case "route-uri":
		return "REGEX ACTION: the same for the request target as it was sent."
	case "route":
		return "REGEX ACTION: the same for the decoded path."
	case "route-run":
		return "ACTION, for every request that comes this far."
	case "route-label":
		return "A place that goto: can jump to."
	case "route-if", "route-if-not":
		return "CONDITION ACTION."
	}
	when := ""
	switch {
	case strings.HasPrefix(key, "error-"):
		when = ", for responses with a status of 400 or more, the vassals' and our own"
	case strings.HasPrefix(key, "response-"):
		when = ", before a response is sent"
	case strings.HasPrefix(key, "final-"):
		when = ", after a response was sent: to log"
	}
	switch {
	case strings.HasSuffix(key, "-status"):
		return "CODE ACTION" + when + "."
	case strings.HasSuffix(key, "-run"):
		return "ACTION" + when + "."
	case strings.HasSuffix(key, "-label"):
		return "A place that goto: can jump to" + when + "."
	case strings.HasSuffix(key, "-if"), strings.HasSuffix(key, "-if-not"):
		return "CONDITION ACTION" + when + "."
	case when != "":
		return "REGEX ACTION" + when + "."
	}
	return "REGEX ACTION: the same for another part of the request."
}
