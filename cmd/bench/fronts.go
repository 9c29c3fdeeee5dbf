package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
)

// Names that -only takes.
const (
	frontEmperor    = "emperor"
	frontEmperorAll = "emperor-all"
	frontManyRules  = "emperor-10000-rules"
	frontNginx      = "nginx"
	frontNginxOne   = "nginx-1"
	frontHAProxy    = "haproxy"
	frontCaddy      = "caddy"
	frontUWSGI      = "uwsgi"
	frontUWSGIAll   = "uwsgi-all"
	frontRouteHost  = "route-host"
	frontSNIProxy   = "sniproxy"
)

// front is a program under test.
type front struct {
	name  string
	meant string
	// processors is how many threads of it may run at the same time.
	processors int
	tool       string // the program it needs, see findTools
	// quiet: it cannot write an access log.
	quiet bool
	// prepare writes what the front reads into a folder of its own.
	prepare func(setup) (program, error)
}

// setup is what a front needs to know to be configured.
type setup struct {
	tools   tools
	dir     string // its own
	address string // where it has to listen
	backend string // the folder with the sockets uwsgi.sock and http.sock
	stream  string // where connections go that are passed through; "": there are none
	logged  bool   // access log to log, statistics on stats
	log     string
	stats   string     // an address
	many    int        // rules, instead of ten
	pair    *pairFiles // HTTPS instead of HTTP
}

var fronts = []front{
	{frontEmperor, "emperor's front as it comes", max(1, runtime.NumCPU()/2), toolEmperor, false, prepareEmperor()},
	{frontEmperorAll, "emperor's front, GOMAXPROCS = all processors", runtime.NumCPU(), toolEmperor, false, prepareEmperor("GOMAXPROCS=" + strconv.Itoa(runtime.NumCPU()))},
	{frontManyRules, "emperor's front with 10,000 rules", max(1, runtime.NumCPU()/2), toolEmperor, false, manyRules(prepareEmperor())},
	{frontNginx, "nginx, worker_processes auto", runtime.NumCPU(), toolNginx, false, prepareNginx(runtime.NumCPU())},
	{frontNginxOne, "nginx, worker_processes 1", 1, toolNginx, false, prepareNginx(1)},
	{frontHAProxy, "HAProxy as it comes", runtime.NumCPU(), toolHAProxy, false, prepareHAProxy},
	{frontCaddy, "Caddy as it comes", runtime.NumCPU(), toolCaddy, false, prepareCaddy},
	{frontUWSGI, "uWSGI's http router as it comes", 1, toolUWSGI, true, prepareUWSGI(1)},
	{frontUWSGIAll, "uWSGI's http router, http-processes = all processors", runtime.NumCPU(), toolUWSGI, true, prepareUWSGI(runtime.NumCPU())},
	{frontRouteHost, "uWSGI's router, and route-host in one worker with offload-threads = 1", 3, toolUWSGI, true, prepareRouteHost},
	{frontSNIProxy, "sniproxy, which is one process", 1, toolSNIProxy, true, prepareSNIProxy},
}

func frontNames() []string {
	var names []string
	for _, f := range fronts {
		names = append(names, f.name)
	}
	return names
}

func frontNamed(name string) front {
	i := slices.IndexFunc(fronts, func(f front) bool { return f.name == name })
	if i < 0 {
		return front{name: name}
	}
	return fronts[i]
}

// What every front is told alike.
const (
	keepAlive      = 95     // seconds that an idle client connection is kept
	maxConnections = 16_384 // where a front has to be told
)

// otherHosts are sites that nobody asks for in the benchmark: a front with
// rules for one host only would not be what people run.
func (s setup) otherHosts() []string {
	rules := max(10, s.many)
	var hosts []string
	for i := range rules - 3 { // the three that are asked for come after them
		hosts = append(hosts, fmt.Sprintf("www.site%d.test", i+1))
	}
	return hosts
}

func (s setup) uwsgiSocket() string { return filepath.Join(s.backend, "uwsgi.sock") }
func (s setup) httpSocket() string  { return filepath.Join(s.backend, "http.sock") }
