package control

import (
	"context"
	"iter"
)

// Client asks the emperor behind one control socket. It holds nothing open between
// calls.
type Client struct{ path string }

// NewClient makes a Client of the socket at path (see Path).
func NewClient(path string) *Client { return &Client{path: path} }

// Status asks for the whole state.
func (c *Client) Status(ctx context.Context) (Status, error) { return Status{}, nil }

// Vassal asks for one vassal's state with its last log lines. The name may be
// shortened as long as it is clear; see Resolve.
func (c *Client) Vassal(ctx context.Context, name string) (VassalStatus, error) {
	return VassalStatus{}, nil
}

// Order gives an order and waits until it is carried out; it returns the state
// after it, also where the order failed and the emperor could tell a state.
func (c *Client) Order(ctx context.Context, name string, o Order) (VassalStatus, error) {
	return VassalStatus{}, nil
}

// Logs yields a vassal's log lines, with follow until ctx ends. An error is the
// last thing it yields.
func (c *Client) Logs(ctx context.Context, name string, follow bool) iter.Seq2[LogLine, error] {
	return func(func(LogLine, error) bool) {}
}
