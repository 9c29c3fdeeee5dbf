package router

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/router/sni"
	"emperor/router/stream"
)

// Listeners whose connections go on as they are.
const (
	optionSSLRouter  = "sslrouter"
	optionSSLRouter2 = "sslrouter2"
	optionRawRouter  = "rawrouter"
)

// secureOptions make listeners that speak TLS.
var secureOptions = []string{optionHTTPS, optionHTTPS2, optionSSLRouter, optionSSLRouter2}

// parseSecure reads the value of one of secureOptions.
func parseSecure(v config.Value) (sni.HTTPS, error) {
	if v.Key == optionHTTPS2 || v.Key == optionSSLRouter2 {
		return sni.ParseHTTPS2(v.Value)
	}
	return sni.ParseHTTPS(v.Value)
}

var streamOptions = []config.Option{
	{Name: "route-sni", Type: config.String, Repeat: true, Where: config.Main,
		Help: "NAME ACTION, by the name that a TLS client asks for, on every https and sslrouter listener, before anything is decrypted. NAME: a name, *.name (any below), .name (it and any below), default, or a regex (^… or ~…). ACTION: pass:ADDRESS (bytes untouched), tcp:ADDRESS (decrypted here, plain bytes go on), http (the sites' rules, the default), reject. Behind ADDRESS: |ADDRESS, ,backup, ,weight=N, ,proxy=v1 or v2, ,alpn=PROTOCOL, ,remote-addr=NETWORK, ,connect-timeout=S, ,timeout=S."},
	{Name: "route-alpn", Type: config.String, Repeat: true, Where: config.Main,
		Help: "PROTOCOL ACTION: the same by a protocol that the client offers (ALPN), before names are looked at."},
	{Name: "stream-default", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Where connections to an https or sslrouter listener go that do not begin with TLS (SSH, RDP), and those that name nobody: ADDRESS, with the options of route-sni."},
	{Name: "stream-allow", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Where a route-sni rule may connect whose client names the host: a suffix of names (.cloud.example) or a network (10.0.0.0/8)."},
	{Name: "stream-connect-timeout", Type: config.Seconds, Min: 1, Default: "3", Where: config.Main,
		Help: "How long connecting to a stream's address may take, before the next is tried."},
	{Name: "stream-timeout", Type: config.Seconds, Min: 1, Default: "600", Where: config.Main,
		Help: "How long a stream may be silent in both directions."},
	{Name: "sni-timeout", Type: config.Seconds, Min: 1, Default: "5", Where: config.Main,
		Help: "How long a client may take to say what it wants (ClientHello), where route-sni rules need it."},
	{Name: "stream-check", Type: config.Seconds, Default: "0", Where: config.Main,
		Help: "How often to connect to each fixed address of streams, to find out which fail before a client does; 0: never."},
	{Name: "stream-connections", Type: config.Int, Default: "0", Where: config.Main,
		Help: "How many streams there may be at the same time; 0: any number."},
	{Name: "stream-drain", Type: config.Seconds, Default: "0", Where: config.Main,
		Help: "How long streams of a router that has been replaced (emperor upgrade) may go on; 0: until they end by themselves."},
	{Name: "stream-log", Type: config.Path, Where: config.Main,
		Help: "Write a line for each stream that has ended to FILE; \"-\" is the standard output."},
	{Name: "stream-log-format", Type: config.String, Default: "text", Where: config.Main,
		Help: "Format of stream-log: text or json."},
	{Name: optionSSLRouter, Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"ADDRESS[,CERTIFICATE,KEY[,CIPHERS[,CA]]]\": listen for TLS whose plain bytes go to sslrouter-to, or wherever a route-sni rule says. Without a certificate the bytes are passed through untouched."},
	{Name: optionSSLRouter2, Type: config.String, Repeat: true, Where: config.Main,
		Help: "The same as KEY=VALUE list: addr=, cert=, key=, ciphers=, clientca=."},
	{Name: "sslrouter-session-context", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Keep TLS sessions of sslrouter listeners below this line apart from others'."},
	{Name: optionRawRouter, Type: config.Address, Repeat: true, Where: config.Main,
		Help: "Listen on ADDRESS and carry the bytes, whatever they are, to rawrouter-to."},
	{Name: "sslrouter-sni", Type: config.Bool, Argument: config.Optional, Default: "false", Where: config.Main,
		Help: "What names the address of an sslrouter connection (sslrouter-use-base, sslrouter-use-pattern) is the name that its client asks for; otherwise it is the listener's address."},
	{Name: "sslrouter-to", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Where connections of sslrouter listeners go that no route-sni rule decides: \"ADDRESS [weight=N] [backup]\"; several share them."},
	{Name: "sslrouter-fallback", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Where they go when no address of sslrouter-to can be reached."},
	{Name: "sslrouter-use-base", Type: config.String, Where: config.Main,
		Help: "Connections of sslrouter listeners go to the unix socket of this path with the key (sslrouter-sni) behind it."},
	{Name: "sslrouter-use-pattern", Type: config.String, Where: config.Main,
		Help: "Connections of sslrouter listeners go to this address, %s in it being the key (sslrouter-sni)."},
	{Name: "rawrouter-to", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Where connections of rawrouter listeners go: \"ADDRESS [weight=N] [backup]\"; several share them."},
	{Name: "rawrouter-fallback", Type: config.String, Repeat: true, Where: config.Main,
		Help: "Where they go when no address of rawrouter-to can be reached."},
	{Name: "rawrouter-use-base", Type: config.String, Where: config.Main,
		Help: "Connections of rawrouter listeners go to the unix socket of this path with the listener's address behind it."},
	{Name: "rawrouter-use-pattern", Type: config.String, Where: config.Main,
		Help: "Connections of rawrouter listeners go to this address, %s in it being the listener's address."},
	{Name: "rawrouter-xclient", Type: config.Bool, Argument: config.Optional, Default: "false", Where: config.Main,
		Help: "Tell a mail server behind rawrouter who its client is (XCLIENT ADDR=…), after its greeting."},
	{Name: "sslrouter-timeout", Type: config.Seconds, Min: 1, Where: config.Main,
		Help: "stream-timeout for connections of sslrouter listeners."},
	{Name: "rawrouter-timeout", Type: config.Seconds, Min: 1, Where: config.Main,
		Help: "stream-timeout for connections of rawrouter listeners."},
}

// streams is what options say of connections that go on as they are.
type streams struct {
	table          *stream.Table // nil: no rules
	hello          time.Duration
	connect, idle  time.Duration
	idleOf         map[string]time.Duration // by the option of the listener
	drain, check   time.Duration
	most           int64 // at the same time; 0: any number
	xclient        bool
	subscribed     map[string]bool // sslrouter, rawrouter: their nodes announce themselves
	byName         bool            // sslrouter-sni
	shared         bool            // stream-shared-certificate
	format         streamFormat
	log            accessLog
	peeks, diverts bool // https listeners have to look at ClientHellos; something goes on as it is at all
}

func (s *streams) compile(c *config.Config, supply *supply, mistake, warn func(config.Value, error)) {
	*s = streams{
		hello: c.Seconds("sni-timeout"), connect: c.Seconds("stream-connect-timeout"), idle: c.Seconds("stream-timeout"),
		idleOf: map[string]time.Duration{}, drain: c.Seconds("stream-drain"), check: c.Seconds("stream-check"), most: c.Int("stream-connections"),
		xclient: c.Bool("rawrouter-xclient"),
	}
	for option, names := range map[string][]string{"sslrouter-timeout": {optionSSLRouter, optionSSLRouter2}, "rawrouter-timeout": {optionRawRouter}} {
		for _, name := range names {
			if c.Has(option) {
				s.idleOf[name] = c.Seconds(option)
			}
		}
	}
	var sources []stream.Source
	for _, v := range c.All(stream.Keys()...) {
		if !stream.IsRule(v.Key, v.Value) {
			continue
		}
		sources = append(sources, stream.Source{Key: v.Key, Value: v.Value, File: v.Pos.File, Line: v.Pos.Line})
		if strings.HasPrefix(v.Key, "route-") || v.Key == "stream-default" {
			s.peeks = true
		}
	}
	table, problems := stream.Compile(sources)
	for _, p := range problems {
		v := config.Value{Key: p.Key, Pos: config.Pos{File: p.File, Line: p.Line}}
		if p.Warning {
			warn(v, errors.New(p.Text))
		} else {
			mistake(v, errors.New(p.Text))
		}
	}
	s.table = table
	s.diverts = s.peeks || c.Has(optionSSLRouter) || c.Has(optionSSLRouter2) || c.Has(optionRawRouter)
	s.byName, s.shared = c.Bool("sslrouter-sni"), c.Bool(stream.KeyShared)
	s.subscribed = subscribedStreams(c, warn)
	s.compileLog(c, supply, mistake)
	s.checkListeners(c, warn)
}

func (s *streams) compileLog(c *config.Config, supply *supply, mistake func(config.Value, error)) {
	switch format := c.Text("stream-log-format"); format {
	case "text":
	case "json":
		s.format.json = true
	default:
		at, _ := c.Last("stream-log-format")
		mistake(at, fmt.Errorf("want text or json, got %q", format))
	}
	v, ok := c.Last("stream-log")
	if !ok || v.Value == "" {
		return
	}
	path, file, err := supply.log(v)
	if err != nil {
		mistake(v, err)
		return
	}
	s.log = accessLog{path: path, file: file}
}

// checkListeners warns of rules that nothing ever meets, and of connections that meet
// none.
func (s *streams) checkListeners(c *config.Config, warn func(config.Value, error)) {
	if rules := c.All("route-sni", "route-alpn", "stream-default"); len(rules) > 0 && len(c.All(secureOptions...)) == 0 {
		warn(rules[0], errors.New("no listener speaks TLS: want https or sslrouter"))
	}
	for _, router := range []struct {
		kind      string
		listeners []string
		ruled     bool
		want      string
	}{
		{optionSSLRouter, []string{optionSSLRouter, optionSSLRouter2}, s.peeks, "route-sni or sslrouter-to"},
		{optionRawRouter, []string{optionRawRouter}, false, "rawrouter-to"},
	} {
		listeners := c.All(router.listeners...)
		nodes := c.All(router.kind+"-to", router.kind+"-fallback", router.kind+"-use-base", router.kind+"-use-pattern")
		switch {
		case len(nodes) > 0 && len(listeners) == 0:
			warn(nodes[0], fmt.Errorf("has no effect: no listener is a %s", router.kind))
		case len(listeners) > 0 && len(nodes) == 0 && !router.ruled && !s.subscribed[router.kind]:
			warn(listeners[0], fmt.Errorf("nothing says where its connections go: each is refused; want %s", router.want))
		}
	}
}

// idleTime is how long a stream of that listener may be silent, where its rule says
// nothing.
func (s *streams) idleTime(option string) time.Duration {
	return cmp.Or(s.idleOf[option], s.idle)
}

// isHTTPS tells whether there are requests on a listener's connections, behind TLS.
func isHTTPS(option string) bool { return option == optionHTTPS || option == optionHTTPS2 }

// isSecure tells whether connections of a listener begin with TLS.
func isSecure(option string) bool { return slices.Contains(secureOptions, option) }
