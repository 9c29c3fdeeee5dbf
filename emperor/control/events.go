package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
)

// Event is one change: of a vassal's state, or of the emperor itself.
type Event struct {
	Time   time.Time `json:"time"`
	Vassal string    `json:"vassal,omitempty"` // empty: the emperor itself, and Text says what
	Text   string    `json:"text,omitempty"`
	// From and State are where it was and where it is; equal when something else
	// changed. From is empty for a vassal that is new.
	From       string `json:"from,omitempty"`
	State      string `json:"state,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	PIDs       []int  `json:"pids,omitempty"`
	Reason     string `json:"reason,omitempty"`
	// Problem is what came to be wrong although the state may be fine.
	Problem string `json:"problem,omitempty"`
}

// Events yields the last events, oldest first, and with follow those that come, until
// ctx ends. An error is the last thing it yields; the end of ctx is none.
func (c *Client) Events(ctx context.Context, follow bool) iter.Seq2[Event, error] {
	path := "/events"
	if follow {
		path += "?follow=1"
	}
	return stream[Event](c, ctx, path)
}

// stream yields what the emperor sends, one JSON value a line.
func stream[T any](c *Client, ctx context.Context, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		ctx, answered, release := c.bounded(ctx)
		defer release()
		body, err := c.open(ctx, http.MethodGet, path)
		if err != nil {
			yield(none, err)
			return
		}
		defer body.Close()
		answered() // from here on it may be silent: there may be nothing to say
		values := json.NewDecoder(body)
		for {
			var value T
			switch err := values.Decode(&value); {
			case err == io.EOF || ctx.Err() != nil:
				return
			case err != nil:
				yield(none, fmt.Errorf("the emperor at %s went away: %w", c.path, err))
				return
			}
			if !yield(value, nil) {
				return
			}
		}
	}
}

// events answers GET /events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	following := isFollowing(r)
	sendLines(w, following, s.emperor.Events(r.Context(), following))
}

func isFollowing(r *http.Request) bool {
	follow := r.URL.Query().Get("follow")
	return follow != "" && follow != "0" && follow != "false"
}

// sendLines writes values as they come, one JSON value a line. A reader that takes
// nothing for writeTime is dropped.
func sendLines[T any](w http.ResponseWriter, following bool, values iter.Seq[T]) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	controller := http.NewResponseController(w)
	if following {
		controller.Flush() // the head, so that the client knows it is being followed
	}
	lines := json.NewEncoder(w)
	for value := range values {
		controller.SetWriteDeadline(time.Now().Add(writeTime))
		if lines.Encode(value) != nil {
			return
		}
		if following && controller.Flush() != nil {
			return
		}
	}
}

// WriteEvent writes what `emperor events` shows of one.
func WriteEvent(w io.Writer, e Event) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", e.Time.Format("2006-01-02 15:04:05.000"))
	if e.Vassal == "" {
		b.WriteString("emperor: " + clean(e.Text))
		_, err := fmt.Fprintln(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "%s: ", clean(e.Vassal))
	if e.From != "" && e.From != e.State {
		fmt.Fprintf(&b, "%s → ", e.From)
	}
	b.WriteString(e.State)
	if e.Generation > 0 {
		fmt.Fprintf(&b, ", generation %d", e.Generation)
		if len(e.PIDs) > 0 {
			fmt.Fprintf(&b, ", pids %s", pids(e.PIDs, 4))
		}
	}
	if e.Reason != "" {
		b.WriteString(": " + clean(e.Reason))
	}
	if e.Problem != "" {
		b.WriteString(" (" + clean(firstLine(e.Problem)) + ")")
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if more {
		line += " …"
	}
	return line
}
