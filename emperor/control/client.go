package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// Patience is how long an emperor may take to answer, unless Client.Patience says
// otherwise. A healthy one needs milliseconds.
const Patience = 10 * time.Second

// ErrNotRunning is (errors.Is) what a Client says when there certainly is no emperor
// behind its socket.
var ErrNotRunning = errors.New("no emperor is running")

// Client asks the emperor behind one control socket. It holds nothing open between
// calls and may be used by many goroutines.
type Client struct {
	// Patience is how long the emperor may take to answer before the call fails. An
	// order may take longer, as long as the emperor answers other questions
	// meanwhile; so may log lines that are followed. 0: the constant Patience.
	Patience time.Duration

	path string
	http *http.Client
	pid  atomic.Int64 // of whoever answered last at the socket
}

// NewClient makes a Client of the socket at path (see Path).
func NewClient(path string) *Client {
	client := &Client{path: path}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			return nil, unreachable(path, err)
		}
		pid, uid, err := peerOf(c)
		if err == nil {
			client.pid.Store(int64(pid))
			err = mayBelieve(path, os.Geteuid(), uid)
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	}
	client.http = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	return client
}

// Path is the socket's.
func (c *Client) Path() string { return c.path }

// bounded ends ctx when the emperor has been silent for too long. answered stops
// the clock, release ends the call.
func (c *Client) bounded(ctx context.Context) (_ context.Context, answered, release func()) {
	patience := c.Patience
	if patience <= 0 {
		patience = Patience
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(c.silent(patience)) })
	stop := func() { timer.Stop() }
	return ctx, stop, func() { stop(); cancel(nil) }
}

func (c *Client) silent(patience time.Duration) error {
	who := ""
	if pid := c.pid.Load(); pid != 0 {
		who = fmt.Sprintf(" (process %d; its state: ps -o stat,wchan:20,args -p %d)", pid, pid)
	}
	return fmt.Errorf("the emperor at %s has not answered within %v: it may hang, or be stopped%s", c.path, patience, who)
}

// unreachable says what a person can do about a socket that does not answer.
func unreachable(path string, err error) error {
	switch {
	case path == "":
		return errors.New("this emperor has no control socket (control = none)")
	case errors.Is(err, os.ErrNotExist):
		return notRunning("no emperor answers at %s: there is no such socket; is it running? (--control PATH names another socket%s)", path, elsewhere(path))
	case errors.Is(err, syscall.ECONNREFUSED):
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
			return fmt.Errorf("%s is not a socket; --control wants the path of an emperor's control socket", path)
		}
		return notRunning("no emperor answers at %s: the socket is left over from one that has ended", path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: only root and the emperor's own user may talk to it, you are user %d", path, os.Geteuid())
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%s: so many wait there already that no more are taken: the emperor may hang", path)
	}
	return fmt.Errorf("%s: %w", path, cause(err))
}

// elsewhere names a control socket that somebody else's emperor has by default.
func elsewhere(path string) string {
	for _, pattern := range []string{"/run/emperor.sock", "/run/user/*/emperor.sock", "/tmp/emperor-*.sock"} {
		found, _ := filepath.Glob(pattern)
		for _, other := range found {
			if info, err := os.Stat(other); err == nil && info.Mode().Type() == os.ModeSocket && other != path {
				return "; there is one at " + other
			}
		}
	}
	return ""
}

// notRunningError reads like any other and is ErrNotRunning.
type notRunningError struct{ text string }

func (e *notRunningError) Error() string        { return e.text }
func (e *notRunningError) Is(target error) bool { return target == ErrNotRunning }

func notRunning(format string, args ...any) error {
	return &notRunningError{fmt.Sprintf(format, args...)}
}

// Status asks for the whole state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.ask(ctx, http.MethodGet, "/status", &s)
	return s, err
}

// Vassal asks for one vassal's state with its last log lines. The name may be
// shortened as long as it is clear; see Resolve.
func (c *Client) Vassal(ctx context.Context, name string) (VassalStatus, error) {
	var v VassalStatus
	err := c.ask(ctx, http.MethodGet, "/vassals/"+url.PathEscape(name), &v)
	return v, err
}

// Order gives an order and waits until it is carried out or has failed. The state
// after it comes with an error too, where the emperor could tell one.
func (c *Client) Order(ctx context.Context, name string, o Order) (VassalStatus, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() { // ends with ctx
		defer close(watching)
		c.watch(ctx, cancel)
	}()
	defer func() { cancel(nil); <-watching }()
	var v VassalStatus
	body, err := c.open(ctx, http.MethodPost, "/vassals/"+url.PathEscape(name)+"/"+url.PathEscape(string(o)))
	if err == nil {
		err = c.decode(ctx, body, &v)
	}
	var refused *Error
	if errors.As(err, &refused) && refused.Vassal != nil {
		v = *refused.Vassal
	}
	return v, err
}

// upgradeTime is how long an upgrade may take: the other binary is tried, and vassals
// that are just starting are waited for.
const upgradeTime = 90 * time.Second

// Upgrade replaces the emperor by another binary, in place, and returns when that has
// taken over. An empty path is the one that the emperor was started by. The binary has
// Patience to say that it can take over.
func (c *Client) Upgrade(ctx context.Context, binary string) (Upgrade, error) {
	patience := c.Patience
	if patience <= 0 {
		patience = Patience
	}
	return c.replace(ctx, "/upgrade?binary="+url.QueryEscape(binary)+"&patience="+patience.String())
}

// ReloadMain has the main file read again, and returns when it holds, or why it was not
// applied. Where the emperor's own file was replaced it is upgraded first; then the answer
// has a Version.
func (c *Client) ReloadMain(ctx context.Context) (Upgrade, error) { return c.replace(ctx, "/reload") }

func (c *Client) replace(ctx context.Context, path string) (Upgrade, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, upgradeTime, c.silent(upgradeTime))
	defer cancel()
	var u Upgrade
	body, err := c.open(ctx, http.MethodPost, path)
	if err != nil {
		return u, err
	}
	return u, c.decode(ctx, body, &u)
}

// watch asks something else now and then, while an order is carried out: that can
// take as long as a site takes to start, or to end, but an emperor that does not
// answer at all will not carry it out.
func (c *Client) watch(ctx context.Context, giveUp context.CancelCauseFunc) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := c.Status(ctx); err != nil && ctx.Err() == nil {
			giveUp(fmt.Errorf("the order may still be carried out: %w", err))
			return
		}
	}
}

// Logs yields a vassal's log lines, with follow until ctx ends. An error is the last
// thing it yields; the end of ctx is none.
func (c *Client) Logs(ctx context.Context, name string, follow bool) iter.Seq2[LogLine, error] {
	path := "/vassals/" + url.PathEscape(name) + "/logs"
	if follow {
		path += "?follow=1"
	}
	return stream[LogLine](c, ctx, path)
}

// What can be done with log files.
const (
	ReopenLogs = "reopen" // as after somebody has moved them away
	RotateLogs = "rotate"
)

// OrderLogs has the log files of one vassal, or for an empty name all, opened anew or
// rotated.
func (c *Client) OrderLogs(ctx context.Context, name, order string) error {
	path := "/logs/" + order
	if name != "" {
		path = "/vassals/" + url.PathEscape(name) + path
	}
	return c.ask(ctx, http.MethodPost, path, &struct{}{})
}

// Error is the emperor's own no.
type Error struct {
	Status int // of HTTP
	Text   string
	Near   []string      // names near the one that was wrong
	Vassal *VassalStatus // after an order that failed
}

func (e *Error) Error() string { return e.Text }

// ask sends one request and decodes its answer.
func (c *Client) ask(ctx context.Context, method, path string, into any) error {
	ctx, _, release := c.bounded(ctx)
	defer release()
	body, err := c.open(ctx, method, path)
	if err != nil {
		return err
	}
	return c.decode(ctx, body, into)
}

// decode reads an answer to its end.
func (c *Client) decode(ctx context.Context, body io.ReadCloser, into any) error {
	defer body.Close()
	err := json.NewDecoder(body).Decode(into)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s: want an answer of an emperor, got something else: %w", c.path, err)
	}
	return nil
}

// open sends one request and returns the body of a good answer.
func (c *Client) open(ctx context.Context, method, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://emperor"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var around *url.Error // says the made-up address, which helps nobody
		if errors.As(err, &around) {
			err = around.Err
		}
		return nil, err
	}
	if response.StatusCode < 400 {
		return response.Body, nil
	}
	defer response.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("%s: want an answer of an emperor, got %s", c.path, response.Status)
	}
	return nil, &Error{Status: response.StatusCode, Text: f.Error, Near: f.Near, Vassal: f.Vassal}
}
