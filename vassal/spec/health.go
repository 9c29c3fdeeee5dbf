package spec

import (
	"strings"
	"time"

	"emperor/internal/config"
)

// Health says how it is found out that a vassal does not work any more although its
// processes live.
type Health struct {
	// Path is asked for again and again; empty: nothing is. PathReason names the line.
	Path       string
	PathReason string
	// Interval is the time from one question to the next, Timeout how long the answer
	// may take, Threshold how many questions in a row must fail.
	Interval, Timeout time.Duration
	Threshold         int
	// Heartbeat is how often a uWSGI promises to say that a worker waits; 0: never.
	Heartbeat time.Duration
	// Harakiri is how long the front waits for the answer of a command to begin; 0: as
	// long as for others (http-timeout). A uWSGI keeps it itself.
	Harakiri time.Duration
	// OnlyUsed: a question would keep the vassal from its rest, so it is asked only
	// while others use it, too.
	OnlyUsed bool `carry:"onlyUsed"`
}

// healthOptions are what a vassal's file says of it.
var healthOptions = []config.Option{
	{Name: "ready-path", Type: config.String, Where: config.Vassal, Help: "A new generation is ready when it answers this path with a status below 500; until then the old one serves on."},
	{Name: "health-path", Type: config.String, Where: config.Vassal, Help: "Ask for this path again and again; a vassal that does not answer with a status below 500 is replaced by a new generation. With document-root it is a script, PHP-FPM's ping.path, or the front controller's."},
	{Name: "health-interval", Type: config.Seconds, Min: 1, Default: "10", Where: config.Vassal, Help: "Seconds from one question for health-path to the next."},
	{Name: "health-timeout", Type: config.Seconds, Min: 1, Default: "5", Where: config.Vassal, Help: "Seconds that the answer to health-path may take."},
	{Name: "health-threshold", Type: config.Int, Min: 1, Default: "3", Where: config.Vassal, Help: "How many questions for health-path in a row must fail until the vassal is replaced."},
	{Name: "heartbeat", Type: config.Int, Where: config.Vassal, Help: "A uWSGI: say every so many seconds that a worker waits for requests. One that stops to is asked, and replaced if it does not answer (see emperor-required-heartbeat)."},
	{Name: "harakiri", Short: 't', Type: config.Int, Where: config.Vassal, Help: "Seconds that a request may take. A uWSGI ends the worker itself; for a command the front answers 504 when no answer has begun by then, and the program goes on with what it does. After three of them without any answer between it is asked whether it answers at all, and replaced if not, as with health-path."},
	{Name: "boot-timeout", Type: config.Seconds, Min: 1, Where: config.Vassal, Help: "How long a generation may take until it is ready; default 60."},
}

// readHealth reads how the vassal's health is watched.
func (r *reader) readHealth() {
	s, c := r.spec, r.c
	s.Health = Health{
		Interval: c.Seconds("health-interval"), Timeout: c.Seconds("health-timeout"), Threshold: int(c.Int("health-threshold")),
	}
	if r.speaksAnything() {
		return
	}
	ready, hasReady := c.Last("ready-path")
	health, hasHealth := c.Last("health-path")
	usable := func(v config.Value, given bool) bool {
		if !given || v.Unknown || v.Value == "" {
			return false
		}
		if !strings.HasPrefix(v.Value, "/") || strings.ContainsFunc(v.Value, func(b rune) bool { return b <= ' ' || b == 0x7f }) {
			r.fault(v, "want a path that begins with /, got %q", v.Value) // to a uWSGI it may be a placeholder
			return false
		}
		return true
	}
	if usable(ready, hasReady) {
		s.ReadyPath = ready.Value
	}
	if usable(health, hasHealth) {
		s.Health.Path, s.Health.PathReason = health.Value, Reason(health)
	}
	if s.Kind == Static {
		for _, v := range c.All("ready-path", "health-path", "heartbeat", "harakiri") {
			r.warn(v, "no effect: a folder has no process that could fail")
		}
		s.Health, s.ReadyPath = Health{}, ""
		return
	}
	if v, ok := c.Last("heartbeat"); ok && s.Kind == UWSGI && !v.Unknown {
		s.Health.Heartbeat = time.Duration(c.Int("heartbeat")) * time.Second
	} else if ok && s.Kind == Command {
		r.warn(v, "no effect: only a uWSGI has one; health-path asks a command")
	}
	if v, ok := c.Last("harakiri"); ok && s.Kind == Command && !v.Unknown {
		s.Health.Harakiri = time.Duration(max(0, c.Int("harakiri"))) * time.Second
	}
	if _, _, asked := s.Askable(); !asked && !s.Port {
		for _, v := range []config.Value{ready, health} {
			if v.Key != "" {
				r.warn(v, "no effect: it has no socket on which it could be asked (in uwsgi, http, fastcgi or scgi)")
			}
		}
		s.Health.Path, s.Health.PathReason, s.ReadyPath = "", "", ""
	}
	// uWSGI counts our questions as requests, too, and would never be idle.
	s.Health.OnlyUsed = s.Kind == UWSGI && (c.Has("idle") || c.Has("cheap"))
}

// Askable is the first of the vassal's sockets on which it can be asked something;
// its place among all, and among those that are held, or -1.
func (s *Spec) Askable() (socket Socket, held int, ok bool) {
	held = -1
	n := 0
	for _, socket := range s.Sockets {
		if socket.Held {
			n++
		}
		switch socket.Protocol {
		case "uwsgi", "http", "fastcgi", "scgi":
			if socket.Held {
				held = n - 1
			}
			if socket.At.Foreign == "" {
				return socket, held, true
			}
		}
	}
	return Socket{}, -1, false
}
