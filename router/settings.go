package router

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/http1"
	"emperor/router/resolve"
	"emperor/router/rule"
	"emperor/router/stream"
)

// Settings are the front's options, compiled. They never change; a new
// configuration is a new Settings.
type Settings struct {
	rules     *rule.Table
	defaults  defaults // http-to, http-fallback
	modifier1 byte     // http-modifier1, when not zero
	modifier2 byte

	head            http1.Limits
	headTimeout     time.Duration // a request head, whole
	connectTimeout  time.Duration
	responseTimeout time.Duration // first byte, and silence after it
	bodyRate        int64         // least bytes per second of a request body,
	bodyGrace       time.Duration // once that time is over
	tunnelTimeout   time.Duration // silence on an upgraded connection
	clientIdle      time.Duration // between requests
	upstreamIdle    time.Duration
	drainIdle       time.Duration // how long an idle connection may speak once more when we go
	keepAlive       bool
	chunked         bool // responses of unknown length are sent in chunks
	websockets      bool
	manageExpect    int64 // 0: off, 1: answer always, more: greatest Content-Length
	chunkedInput    bool  // uwsgi vassals get chunked bodies in chunks
	hostAsName      bool  // SERVER_NAME is the Host
	hold            holdLimits

	mapping       mapping
	redirectPorts map[string]string // of http-to-https, by listener: ":8443"
	statsHTTP     bool
	proxyProtocol bool // connections of proxiesFrom begin with a PROXY header
	proxiesFrom   trust
	studFrom      trust // connections of these begin with a stud header; nobody by default

	proxyHeaderTime time.Duration
	rawBody         bool  // requests without a length may have a body all the same
	manageSource    bool  // those with the method SOURCE do
	bufferBodies    bool  // nobody is asked before the whole body is here
	spoolLimit      int64 // of the bodies in files, for all requests together
	bodyLimit       int64 // greatest request body; 0: any

	certificates  certificates
	headers       headers
	accessLog     accessLog
	pages         pages
	protection    protection
	compression   compression
	balancing     balancing
	streams       streams
	streamNodes   sync.Map // of *stream.Rule: *flowNodes
	subscriptions subscriptions
	resolver      resolve.Config
	upstreamTLS   *upstreamTLS
	roots         *roots // what rules look at in the file system

	serverName string
	vars       []variable // http-var
	trusted    trust
}

type variable struct{ name, value string }

const (
	// bodyGrace: a body slower than http-body-rate, after its first seconds, only
	// holds a vassal (DESIGN §2).
	bodyGrace = 5 * time.Second

	// collected is how much of a body is taken in before a vassal is connected.
	collected = 64 << 10

	// spoolLimit bounds, for all requests together, the bodies that are kept in files.
	spoolLimit = 1 << 30
)

// compile makes Settings of the options and what they need of the file system.
// All mistakes are returned, not only the first.
func compile(c *config.Config, supply *supply) (*Settings, config.Problems) {
	s := &Settings{
		head:            http1.Limits{Head: int(c.Int("http-head-size")), Fields: int(c.Int("http-head-fields"))},
		headTimeout:     c.Seconds("http-headers-timeout"),
		connectTimeout:  c.Seconds("http-connect-timeout"),
		responseTimeout: c.Seconds("http-timeout"),
		tunnelTimeout:   c.Seconds("http-websocket-timeout"),
		clientIdle:      c.Seconds("http-keepalive-timeout"),
		bodyRate:        c.Size("http-body-rate"),
		bodyGrace:       bodyGrace,
		upstreamIdle:    c.Seconds("http-vassal-keepalive"),
		spoolLimit:      spoolLimit,
		drainIdle:       5 * time.Second,
		keepAlive:       true,
		chunked:         c.Bool("http-auto-chunked"),
		websockets:      c.Bool("http-websockets"),
		chunkedInput:    c.Bool("http-chunked-input"),
		hostAsName:      c.Bool("http-server-name-as-http-host"),
		modifier1:       byte(c.Int("http-modifier1")),
		modifier2:       byte(c.Int("http-modifier2")),
		hold: holdLimits{
			time:     c.Seconds("http-hold-timeout"),
			perSite:  c.Int("http-hold-vassal"),
			together: c.Int("http-hold"),
		},
	}
	if name, err := os.Hostname(); err == nil {
		s.serverName = name
	}
	// uWSGI's http-keepalive: 0 is off, 1 is on, more is also the idle time.
	switch n := c.Int("http-keepalive"); {
	case n == 0:
		s.keepAlive = false
	case n > 1:
		s.clientIdle = time.Duration(n) * time.Second
	}
	if c.Has("http-manage-expect") {
		s.manageExpect = c.Int("http-manage-expect")
	}

	var problems config.Problems
	mistake := func(v config.Value, err error) {
		problems = append(problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error()})
	}
	warn := func(v config.Value, err error) {
		problems = append(problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error(), Warning: true})
	}
	s.mapping.compile(c, mistake)
	s.redirectPorts = redirectPorts(c)
	s.proxyHeaderTime = proxyHeaderTime
	s.statsHTTP, s.proxyProtocol = c.Bool("stats-http"), c.Bool("http-enable-proxy-protocol")
	s.rawBody, s.bodyLimit = c.Bool("http-raw-body"), c.Size("http-body-limit")
	s.manageSource, s.bufferBodies = c.Bool("http-manage-source"), c.Size("http-post-buffering") > 0
	s.certificates.compile(c, supply, mistake, warn)
	s.headers.compile(c, s, mistake)
	s.accessLog.compile(c, supply, mistake)
	s.pages.compile(c, supply, mistake)
	s.protection.compile(c, mistake)
	s.compression.compile(c, mistake)
	s.resolver = resolve.ParseConfig(supply.system("/etc/resolv.conf"), supply.system("/etc/hosts"))
	if given := c.All("resolver"); len(given) > 0 {
		s.resolver.Servers = nil
		for _, v := range given {
			servers, err := resolve.ParseServers(v.Value)
			if err != nil {
				mistake(v, err)
			}
			s.resolver.Servers = append(s.resolver.Servers, servers...)
		}
	}
	s.balancing.compile(c, mistake)
	s.defaults.compile(c, mistake)
	s.streams.compile(c, supply, mistake, warn)
	s.subscriptions.compile(c, supply, mistake, warn)
	var sources []rule.Source // those of http-var that depend on the request first
	for _, v := range c.All("http-var") {
		name, value, ok := strings.Cut(v.Value, "=")
		if !ok || name == "" {
			mistake(v, fmt.Errorf("want NAME=VALUE, got %q", v.Value))
			continue
		}
		// The last of a name counts.
		s.vars = slices.DeleteFunc(s.vars, func(v variable) bool { return v.name == name })
		sources = slices.DeleteFunc(sources, func(s rule.Source) bool { return strings.HasPrefix(s.Value, name+"=") })
		if strings.Contains(value, "${") {
			sources = append(sources, rule.Source{Key: rule.VariableKey, Value: v.Value, File: v.Pos.File, Line: v.Pos.Line})
		} else {
			s.vars = append(s.vars, variable{name, value})
		}
	}
	var err error
	if s.trusted, err = parseTrust(c.All("http-trusted-proxies")); err != nil {
		v, _ := c.Last("http-trusted-proxies")
		mistake(v, err)
	}
	s.proxiesFrom = s.trusted
	if from := c.All("http-proxy-protocol-from"); len(from) > 0 {
		if s.proxiesFrom, err = parseTrust(from); err != nil {
			mistake(from[len(from)-1], err)
		}
	}
	if from := c.All("http-stud-prefix"); len(from) > 0 {
		if s.studFrom, err = parseTrust(from); err != nil {
			mistake(from[len(from)-1], err)
		}
	}
	for _, v := range c.All(rule.Keys()...) {
		if stream.IsRule(v.Key, v.Value) {
			continue
		}
		sources = append(sources, rule.Source{Key: v.Key, Value: v.Value, File: v.Pos.File, Line: v.Pos.Line})
	}
	table, errs := rule.Compile(sources)
	for _, err := range errs {
		problems = append(problems, ruleProblem(err, false))
	}
	s.rules = table
	s.upstreamTLS = &upstreamTLS{}
	s.upstreamTLS.compile(c, table, supply, mistake)
	s.roots = &roots{}
	if table != nil {
		s.roots.compile(table.Roots(), supply.passwords, supply, mistake)
		for _, err := range table.Warnings() {
			problems = append(problems, ruleProblem(err, true))
		}
	}
	s.certificates.compileTable(s, mistake)
	s.streams.warnOfCoalescing(&s.certificates, table, warn)
	s.streams.warnOfCertificates(c, &s.certificates, warn)
	return s, problems
}

func ruleProblem(err error, warning bool) config.Problem {
	var p *rule.Problem
	if !errors.As(err, &p) {
		return config.Problem{Text: err.Error(), Warning: warning}
	}
	return config.Problem{Pos: config.Pos{File: p.Pos.File, Line: p.Pos.Line}, Key: p.Key, Text: p.Text, Warning: warning}
}

// options turns what came over the link back into a Config.
func options(set *config.Set, sent []link.Option) *config.Config {
	values := make([]config.Value, 0, len(sent))
	for _, o := range sent {
		values = append(values, config.Value{Key: o.Key, Value: o.Value, HasValue: true, Pos: config.Pos{File: o.File, Line: o.Line}})
	}
	return config.FromValues(set, "", values)
}

// trust says whose X-Forwarded-* fields are believed.
type trust struct {
	unix     bool
	prefixes []netip.Prefix
}

// defaultTrust: a platform's router, a proxy beside us. The internet is never
// in it.
var defaultTrust = []string{
	"127.0.0.0/8", "::1/128",
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", // private
	"169.254.0.0/16", "fe80::/10", // link-local
	"100.64.0.0/10", // carrier-grade NAT, used inside platforms
}

func parseTrust(values []config.Value) (trust, error) {
	t := trust{unix: true}
	var words []string
	for _, v := range values {
		words = append(words, strings.FieldsFunc(v.Value, func(r rune) bool { return r == ' ' || r == ',' })...)
	}
	if len(words) == 0 {
		words = defaultTrust
	} else if len(words) == 1 && words[0] == "none" {
		return trust{}, nil
	} else {
		t.unix = false
	}
	for _, word := range words {
		switch word {
		case "unix":
			t.unix = true
			continue
		case "default":
			more, _ := parseTrust(nil)
			t.unix, t.prefixes = true, append(t.prefixes, more.prefixes...)
			continue
		}
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			ip, err := netip.ParseAddr(word)
			if err != nil {
				return t, fmt.Errorf("want addresses, networks (10.0.0.0/8), unix, default or none, got %q", word)
			}
			prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
		t.prefixes = append(t.prefixes, prefix)
	}
	return t, nil
}

func (t *trust) includes(ip netip.Addr) bool {
	if !ip.IsValid() {
		return t.unix
	}
	ip = ip.Unmap()
	for _, p := range t.prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
