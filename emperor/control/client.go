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
	"syscall"
	"time"
)

// Client asks the emperor behind one control socket. It holds nothing open between
// calls and may be used by many goroutines.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a Client of the socket at path (see Path).
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialer := net.Dialer{Timeout: 5 * time.Second}
		c, err := dialer.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, unreachable(path, err)
		}
		uid, err := peerUID(c)
		if err == nil {
			err = mayBelieve(path, os.Geteuid(), uid)
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	}
	return &Client{path, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// unreachable says what a person can do about a socket that does not answer.
func unreachable(path string, err error) error {
	switch {
	case path == "":
		return errors.New("this emperor has no control socket (control = none)")
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no emperor answers at %s; is it running? (--control PATH names another socket)", path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: only root and the emperor's own user may talk to it, you are user %d", path, os.Geteuid())
	}
	return fmt.Errorf("%s: %w", path, cause(err))
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
	var v VassalStatus
	err := c.ask(ctx, http.MethodPost, "/vassals/"+url.PathEscape(name)+"/"+url.PathEscape(string(o)), &v)
	var refused *Error
	if errors.As(err, &refused) && refused.Vassal != nil {
		v = *refused.Vassal
	}
	return v, err
}

// Logs yields a vassal's log lines, with follow until ctx ends. An error is the last
// thing it yields; the end of ctx is none.
func (c *Client) Logs(ctx context.Context, name string, follow bool) iter.Seq2[LogLine, error] {
	path := "/vassals/" + url.PathEscape(name) + "/logs"
	if follow {
		path += "?follow=1"
	}
	return func(yield func(LogLine, error) bool) {
		body, err := c.open(ctx, http.MethodGet, path)
		if err != nil {
			yield(LogLine{}, err)
			return
		}
		defer body.Close()
		lines := json.NewDecoder(body)
		for {
			var line LogLine
			switch err := lines.Decode(&line); {
			case err == io.EOF || ctx.Err() != nil:
				return
			case err != nil:
				yield(LogLine{}, fmt.Errorf("the emperor at %s went away: %w", c.path, err))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
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
	body, err := c.open(ctx, method, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
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
