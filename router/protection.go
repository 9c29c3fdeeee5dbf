package router

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"emperor/internal/config"
	"emperor/router/accesslog"
	"emperor/router/errorpage"
	"emperor/router/limit"
)

var protectionOptions = []config.Option{
	{Name: "http-limit-peer", Type: config.Int, Default: "1000", Where: config.Main,
		Help: "How many connections one address may have at a time (an IPv6 /64 counts as one); trusted proxies may have any number, 0 is any number for all."},
	{Name: "http-limit-rate", Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"[HOST] N[/s|/m|/h] [burst=N] [by=visitor|host]\": how many requests a visitor may make, to all these hosts together, or a host gets in all, before the rest is answered 429; HOST is a name, *.name or ^regex."},
	{Name: "http-limit-vassal", Type: config.Int, Default: "0", Where: config.Main,
		Help: "How many requests one generation of a vassal works on at a time; the rest waits for its turn. 0 is any number."},
	{Name: "http-limit-vassal-queue", Type: config.Int, Default: "100", Where: config.Main,
		Help: "How many requests may wait for their turn at one vassal that is at http-limit-vassal; the rest is answered 503."},
	{Name: "http-limit-vassal-wait", Type: config.Seconds, Min: 1, Default: "10", Where: config.Main,
		Help: "How long a request may wait for its turn."},
	{Name: "http-body-rate", Type: config.Size, Default: "240", Where: config.Main,
		Help: "Least bytes per second of a request body, after its first five seconds; 0 is any rate."},
	{Name: "http-read-rate", Type: config.Size, Default: "240", Where: config.Main,
		Help: "Least bytes per second at which a client must take a response; 0 is any rate."},
}

// protection is what keeps one visitor, or one site, from using up what all share.
type protection struct {
	peers int
	rates []hostRate
	caps  limit.Caps
	// readRate is the least bytes per second at which a client takes a response.
	readRate int64
}

// hostRate is one http-limit-rate line; its buckets live as long as the line
// stays the same.
type hostRate struct {
	text    string
	host    errorpage.Host
	rate    limit.Rate
	visitor bool // each visitor has a bucket of its own
	buckets *limit.Rates
}

func (p *protection) compile(c *config.Config, mistake func(config.Value, error)) {
	p.peers = int(c.Int("http-limit-peer"))
	p.caps = limit.Caps{Running: int(c.Int("http-limit-vassal")), Waiting: int(c.Int("http-limit-vassal-queue")), Wait: c.Seconds("http-limit-vassal-wait")}
	p.readRate = c.Size("http-read-rate")
	for _, v := range c.All("http-limit-rate") {
		r, err := parseRate(v.Value)
		if err != nil {
			mistake(v, err)
			continue
		}
		p.rates = append(p.rates, r)
	}
}

func parseRate(text string) (hostRate, error) {
	r := hostRate{text: text, visitor: true}
	want := func(word string) error {
		return fmt.Errorf("want [HOST] N[/s|/m|/h] [burst=N] [by=visitor|host], got %q", word)
	}
	words := strings.Fields(text)
	if len(words) > 1 && !isRate(words[0]) {
		var err error
		if r.host, err = errorpage.ParseHost(words[0]); err != nil {
			return r, err
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return r, want(text)
	}
	number, unit, _ := strings.Cut(words[0], "/")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n <= 0 || n > 1e9 {
		return r, want(words[0])
	}
	switch unit {
	case "", "s":
	case "m":
		n /= 60
	case "h":
		n /= 3600
	default:
		return r, want(words[0])
	}
	r.rate = limit.Rate{PerSecond: n, Burst: max(1, int(n))}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case key == "burst":
			if r.rate.Burst, err = strconv.Atoi(value); err != nil || r.rate.Burst < 1 {
				return r, want(word)
			}
		case word == "by=visitor":
		case word == "by=host":
			r.visitor = false
		default:
			return r, want(word)
		}
	}
	return r, nil
}

func isRate(word string) bool { return word != "" && word[0] >= '0' && word[0] <= '9' }

// rateKeys is how many buckets a limit remembers.
const rateKeys = 1 << 16

// inherit takes over the buckets of the configuration before, so that a reload
// forgets nobody.
func (p *protection) inherit(old *protection) {
	for i := range p.rates {
		r := &p.rates[i]
		for j := range old.rates {
			if old.rates[j].text == r.text {
				r.buckets = old.rates[j].buckets
			}
		}
		if r.buckets == nil {
			r.buckets = limit.NewRates(r.rate, rateKeys)
		}
	}
}

// enter counts a connection against http-limit-peer; false: its address has too
// many. A proxy we trust is not counted.
func (c *client) enter() bool {
	if c.router.current().trusted.includes(c.peer.remote) {
		return true
	}
	if !c.router.peers.Enter(c.peer.remote) {
		c.router.complain(&c.peer, slog.LevelWarn, "connection refused: its address has as many as http-limit-peer allows")
		return false
	}
	c.counted, c.countedAs = true, c.peer.remote
	return true
}

// withinRate asks the limits on rate; false when the request was refused.
func (x *exchange) withinRate() bool {
	rates := x.settings.protection.rates
	for i := range rates {
		r := &rates[i]
		if !r.host.Matches(x.request.Host.Name) {
			continue
		}
		x.scratch = x.scratch[:0]
		if r.visitor { // for all hosts together: a new name is not a new allowance
			x.scratch = rateGroup(x.visitor()).AppendTo(x.scratch)
		} else {
			x.scratch = append(x.scratch, x.request.Host.Name...)
		}
		ok, retry := r.buckets.Allow(x.scratch, x.started)
		if !ok {
			x.tooMany(int(retry/time.Second)+1, "http-limit-rate = "+r.text)
			return false
		}
	}
	return true
}

// rateGroup is whom an address stands for: an IPv6 /64 is one customer.
func rateGroup(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// takeTurn waits until the site may be given another request; nil or why not.
func (x *exchange) takeTurn(s *site) error {
	if x.settings.protection.caps.Running == 0 {
		return nil
	}
	for turns := s.turnsOf(x.router); x.turn != turns; turns = s.turnsOf(x.router) {
		x.endTurn() // at a generation that is not the current one any more
		before := time.Now()
		err := turns.Acquire(x.router.stopped, x)
		x.entry.Held += time.Since(before)
		if err != nil {
			return err
		}
		x.turn = turns
	}
	return nil
}

// endTurn gives the turn back, if the request has one.
func (x *exchange) endTurn() {
	if x.turn != nil {
		x.turn.Release()
		x.turn = nil
	}
}

// Gone implements limit.Client.
func (x *exchange) Gone() bool { return x.down.gone() }

// answerNoTurn answers a request that the vassal has no room for.
func (x *exchange) answerNoTurn(s *site, err error) {
	switch {
	case errors.Is(err, limit.ErrGone):
		x.entry.Ended = accesslog.ClientGone
		x.down.closeAfter()
		return
	case errors.Is(err, limit.ErrStopped):
		x.entry.Ended = accesslog.ShutDown
	default:
		x.entry.Ended = accesslog.Limited
	}
	x.complain(slog.LevelWarn, "vassal is at its limit", slog.String("vassal", s.name), slog.Any("err", err), slog.Int("status", 503))
	x.answerLater(503, 1, "this site is busy; try again in a moment")
}

// isTurn tells whether err is why there was no turn.
func isTurn(err error) bool {
	return errors.Is(err, limit.ErrFull) || errors.Is(err, limit.ErrWaited) || errors.Is(err, limit.ErrGone) || errors.Is(err, limit.ErrStopped)
}
