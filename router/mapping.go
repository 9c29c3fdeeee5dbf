package router

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"emperor/internal/config"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/upstream"
)

var mappingOptions = []config.Option{
	{Name: "http-use-pattern", Type: config.String, Where: config.Main,
		Help: "Send requests that no rule decides to the uwsgi address that PATTERN makes of the host: %s is the host, %% a percent sign."},
	{Name: "http-use-base", Type: config.String, Where: config.Main,
		Help: "Send requests that no rule decides to the uwsgi socket PREFIX followed by the host."},
	{Name: "http-backend-http", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Speak HTTP instead of uwsgi to http-to, http-fallback, http-use-pattern and http-use-base."},
	{Name: "http-raw-body", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Pass on what follows a request that announces no body, as it comes; such a connection serves one request."},
	{Name: "http-manage-source", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Let a request with the method SOURCE send as long as it likes (icecast); such a connection serves one request."},
	{Name: "http-post-buffering", Type: config.Size, Default: "0", Where: config.Main,
		Help: "Other than 0: take in a whole request body before a vassal is asked, so that a slow upload occupies none; what is beyond 64 KiB waits in a file in TMPDIR."},
	{Name: "http-body-limit", Type: config.Size, Default: "0", Where: config.Main,
		Help: "Greatest size of a request body in bytes; more is answered 413. 0 is any size."},
}

// takesRaw tells whether whatever follows the request's head is passed on.
func (s *Settings) takesRaw(r *http1.Request) bool {
	return !r.HasBody() && (s.rawBody || s.manageSource && string(r.Method) == "SOURCE")
}

// mapping makes an address of the host, for requests that no rule decides.
type mapping struct {
	before, after string // the address is the host between them
	active        bool
	pattern       bool // http-use-pattern, which comes before announced nodes, as in uWSGI
}

func (m *mapping) compile(c *config.Config, mistake func(config.Value, error)) {
	base, ok := c.Last("http-use-base")
	if ok && base.Value != "" {
		m.before, m.active = base.Value, true
		if err := m.check(); err != nil {
			mistake(base, err)
		}
	}
	// The pattern comes first where both are given, as in uWSGI.
	v, ok := c.Last("http-use-pattern")
	if !ok || v.Value == "" {
		return
	}
	m.active, m.pattern = true, true
	if m.before, m.after, ok = rule.CutPattern(v.Value); !ok {
		mistake(v, errors.New("want one %s, which becomes the host; in a file it is written %%s"))
	} else if err := m.check(); err != nil {
		mistake(v, err)
	}
}

// check sees to it that a visitor, who chooses the host, does not choose with it
// which machine or port is connected to.
func (m *mapping) check() error {
	var example upstream.Address
	if err := example.Parse([]byte(m.before + "host" + m.after)); err != nil && strings.HasSuffix(m.before, ":") {
		return fmt.Errorf("%shost%s: the visitor would choose the port by the Host he sends", m.before, m.after)
	} else if err != nil {
		return err
	}
	if !example.Unix() && !strings.HasPrefix(m.after, ".") {
		return fmt.Errorf("%shost%s: the visitor would choose the machine by the Host he sends; want a domain behind it, or a path before it", m.before, m.after)
	}
	return nil
}

// appendAddress appends the address for a host; ok is false where the host may
// not stand in one.
func (m *mapping) appendAddress(dst, host []byte) (address []byte, ok bool) {
	if len(host) == 0 || host[0] == '.' || bytes.ContainsAny(host, "/\x00[]:") || bytes.Contains(host, dots) {
		return dst, false
	}
	return append(append(append(dst, m.before...), host...), m.after...), true
}

var dots = []byte("..")
