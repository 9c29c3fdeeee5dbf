package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"emperor/internal/sysd"
)

// newLog makes the log on stderr: lines for people, or one JSON object a line.
func newLog(w io.Writer, asJSON bool) *slog.Logger {
	return slog.New(newHandler(w, asJSON, !toJournal()))
}

func newHandler(w io.Writer, asJSON, withTime bool) slog.Handler {
	if asJSON {
		return &objectHandler{Handler: slog.NewJSONHandler(w, nil)}
	}
	return &lineHandler{out: &lockedWriter{w: w}, time: withTime}
}

// objectHandler writes one JSON object a line. What a router says about a vassal
// comes with both names; an object with one key twice is read differently by
// different programs, so the record's own name stands for that of WithAttrs.
type objectHandler struct {
	slog.Handler
	vassal slog.Attr // zero when WithAttrs was given none
}

func (h *objectHandler) Handle(ctx context.Context, r slog.Record) error {
	vassal, rest := h.vassal, make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "vassal" {
			vassal = a
		} else {
			rest = append(rest, a)
		}
		return true
	})
	whole := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	whole.AddAttrs(vassal) // an Attr without a key is not written
	whole.AddAttrs(rest...)
	return h.Handler.Handle(ctx, whole)
}

func (h *objectHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	vassal, rest := h.vassal, make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		if a.Key == "vassal" {
			vassal = a
		} else {
			rest = append(rest, a)
		}
	}
	return &objectHandler{h.Handler.WithAttrs(rest), vassal}
}

func (h *objectHandler) WithGroup(name string) slog.Handler {
	return &objectHandler{h.Handler.WithGroup(name), h.vassal}
}

// toJournal tells whether stderr goes to systemd's journal, which notes the time
// of each line itself.
func toJournal() bool { return sysd.StderrIsJournal() }

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// lineHandler writes records for people:
//
//	2026-11-21 11:46:43.120 shop: ready generation=2
//	2026-11-21 11:46:43.125 warn blog: the old generation stays err="exit status 1"
//	2026-11-21 11:46:43.130 blog | Traceback (most recent call last):
//
// The attribute vassal stands in front, because it is what one looks for; what a
// vassal itself wrote comes after a bar, as it wrote it.
type lineHandler struct {
	out    io.Writer
	time   bool
	prefix string // group names, each with a dot
	vassal string
	output bool   // a line that a vassal wrote
	attrs  string // formatted, each with a space before it
}

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if h.time {
		b.WriteString(r.Time.Format("2006-01-02 15:04:05.000 "))
	}
	if r.Level != slog.LevelInfo {
		b.WriteString(strings.ToLower(r.Level.String()))
		b.WriteByte(' ')
	}
	own := *h
	r.Attrs(func(a slog.Attr) bool {
		own.add(a)
		return true
	})
	switch {
	case own.output:
		b.WriteString(own.vassal + " | " + printable(r.Message))
	case own.vassal != "":
		b.WriteString(own.vassal + ": " + printable(r.Message) + own.attrs)
	default:
		b.WriteString(printable(r.Message) + own.attrs)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(h.out, b.String())
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	own := *h
	for _, a := range attrs {
		own.add(a)
	}
	return &own
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	own := *h
	own.prefix += name + "."
	return &own
}

func (h *lineHandler) add(a slog.Attr) {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	if a.Key == "vassal" && h.prefix == "" {
		h.vassal = printable(v.String())
		return
	}
	if a.Key == "from" && v.String() == "output" {
		h.output = true
		return
	}
	if v.Kind() == slog.KindGroup {
		prefix := h.prefix
		if a.Key != "" {
			h.prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			h.add(inner)
		}
		h.prefix = prefix
		return
	}
	text := v.String()
	if v.Kind() == slog.KindTime {
		text = v.Time().Format(time.DateTime)
	}
	if text == "" || strings.ContainsAny(text, " \"=") || printable(text) != text {
		text = strconv.Quote(text)
	}
	h.attrs += " " + h.prefix + a.Key + "=" + text
}

// printable shows control bytes instead of sending them: a vassal's output, or a
// client's host name, must not steer the terminal or begin a line of its own.
func printable(text string) string {
	clean := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 }
	if strings.IndexFunc(text, clean) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if clean(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
