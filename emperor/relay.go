package emperor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
)

// relay writes what a router says into our log until its output ends. A router
// logs one JSON object per line, so that level and attributes survive the way;
// anything else (a stack trace) is passed on as it is.
func (r *relayed) relay(log *slog.Logger) {
	defer func() { _ = r.file.Close() }()
	defer r.reading.End()
	lines := bufio.NewReaderSize(r.file, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if len(r.rest) > 0 {
			line = append(r.rest, line...)
			r.rest = nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if r.rest = bytes.Clone(line); r.reading.Parked() {
				continue
			}
		}
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			relayLine(text, log)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func relayLine(line string, log *slog.Logger) {
	level, message, attributes, ok := parseLine(line)
	if !ok {
		log.Warn(line)
		return
	}
	log.LogAttrs(context.Background(), level, message, attributes...)
}

// parseLine reads a line of slog's JSON handler, keeping the order of attributes.
func parseLine(line string) (level slog.Level, message string, attributes []slog.Attr, ok bool) {
	if !strings.HasPrefix(line, "{") {
		return 0, "", nil, false
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return 0, "", nil, false
	}
	for d.More() {
		token, err := d.Token()
		key, isText := token.(string)
		if err != nil || !isText {
			return 0, "", nil, false
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return 0, "", nil, false
		}
		text, isText := value.(string)
		switch {
		case key == slog.TimeKey:
		case key == slog.LevelKey && isText:
			if level.UnmarshalText([]byte(text)) != nil {
				return 0, "", nil, false
			}
		case key == slog.MessageKey && isText:
			message, ok = text, true
		default:
			attributes = append(attributes, slog.Any(key, value))
		}
	}
	return level, message, attributes, ok
}
