package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"emperor/emperor"
	"emperor/internal/logsink"
)

// lastWords is how long what was logged last may take to be written at the end.
const lastWords = time.Second

// mainLog is the emperor's own log, with the places that it goes to.
type mainLog struct {
	log   *slog.Logger
	logs  *logsink.Set
	sinks []*logsink.Sink
}

// openLog opens the log of an emperor. Nothing that happens to its places makes anybody
// wait; what a place cannot take is said on stderr. fresh: it begins here, and was not
// written by another binary of this process before.
func openLog(main *emperor.Main, fresh bool) *mainLog {
	l := &mainLog{}
	var handlers []slog.Handler
	var destinations []logsink.Destination
	for _, t := range main.LogTargets() {
		if !fresh {
			t.Rules.Truncate = false
		}
		var sink *logsink.Sink
		if t.Kind == logsink.Stdio {
			// Where it fails itself there is nobody left to tell.
			sink = logsink.New(logsink.Options{Name: "stderr", Device: logsink.NewStream(os.Stderr), Lose: l.lose})
		} else {
			sink = t.NewSink(newLog(os.Stderr, main.JSONLog), l.lose)
		}
		l.sinks = append(l.sinks, sink)
		form := func() logsink.Format { return t.Format(true) }
		switch {
		case t.Kind == logsink.Syslog || t.Kind == logsink.Rsyslog || t.Kind == logsink.Journal || t.Kind == logsink.Socket && t.Name != "":
			handlers = append(handlers, &messageHandler{source: sink.Source("", form())})
		default:
			t.JSON = t.JSON || main.JSONLog
			withTime := t.Kind != logsink.Stdio || !toJournal()
			if !t.JSON {
				form = func() logsink.Format { return logsink.NewText(withTime) }
			}
			handlers = append(handlers, newHandler(sourceWriter{sink.Source("", nil)}, t.JSON, withTime))
		}
		destinations = append(destinations, logsink.Destination{Sink: sink, Format: form})
	}
	l.log = slog.New(handlers[0])
	if len(handlers) > 1 {
		l.log = slog.New(slog.NewMultiHandler(handlers...))
	}
	l.logs = logsink.NewSet(l.log, destinations)
	return l
}

// lose says what was lost, once for each burst.
func (l *mainLog) lose(vassal string, lines uint64) {
	if vassal == "" {
		l.log.Warn("lines of the log were lost: it takes them too slowly", "lines", lines)
		return
	}
	l.log.Warn("lines of its output were lost: they came faster than the log takes them", "vassal", vassal, "lines", lines)
}

// close writes what is left, as far as it can be written soon.
func (l *mainLog) close() {
	l.logs.Close(lastWords)
	for _, sink := range l.sinks {
		sink.Close(lastWords)
	}
}

// flush returns when everything is written, or cannot be written soon.
func (l *mainLog) flush() { l.logs.Flush(lastWords) }

// sourceWriter passes on records that are formatted already.
type sourceWriter struct{ source *logsink.Source }

func (w sourceWriter) Write(p []byte) (int, error) {
	w.source.Write(&logsink.Message{Time: time.Now(), Stream: logsink.StreamEmperor, Priority: logsink.PriorityInfo}, p)
	return len(p), nil
}

var _ io.Writer = sourceWriter{}

// messageHandler sends records to a place that knows by itself when they came, how
// grave they are and whom they are about.
type messageHandler struct {
	lineHandler
	source *logsink.Source
}

func (h *messageHandler) Handle(_ context.Context, r slog.Record) error {
	own := h.lineHandler
	r.Attrs(func(a slog.Attr) bool {
		own.add(a)
		return true
	})
	m := &logsink.Message{Time: r.Time, Vassal: own.vassal, Stream: logsink.StreamEmperor}
	switch {
	case r.Level >= slog.LevelError:
		m.Priority = logsink.PriorityError
	case r.Level >= slog.LevelWarn:
		m.Priority = logsink.PriorityWarning
	case r.Level >= slog.LevelInfo:
		m.Priority = logsink.PriorityInfo
	default:
		m.Priority = logsink.PriorityDebug
	}
	h.source.Write(m, []byte(printable(r.Message)+own.attrs+"\n"))
	return nil
}

func (h *messageHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &messageHandler{*h.lineHandler.WithAttrs(attrs).(*lineHandler), h.source}
}

func (h *messageHandler) WithGroup(name string) slog.Handler {
	return &messageHandler{*h.lineHandler.WithGroup(name).(*lineHandler), h.source}
}
