package emperor

import (
	"encoding/json"
	"strconv"
)

// The stats are written as uWSGI writes them: keys in its order, tabs, no space behind
// a colon. There are scripts that look for "pid":12 in the text.

// object is a JSON object whose keys have an order.
type object []member

type member struct {
	key   string
	value any // string, int64, []string, []object, object
}

func (o object) with(key string, value any) object { return append(o, member{key, value}) }

// statsText is o as JSON; minified: without line ends and tabs.
func statsText(o object, minified bool) []byte {
	t := textWriter{minified: minified}
	t.object(o, 0)
	return t.b
}

type textWriter struct {
	b        []byte
	minified bool
}

func (t *textWriter) line(depth int) {
	if !t.minified {
		t.b = append(t.b, '\n')
		for range depth {
			t.b = append(t.b, '\t')
		}
	}
}

func (t *textWriter) object(o object, depth int) {
	t.b = append(t.b, '{')
	for i, m := range o {
		if i > 0 {
			t.b = append(t.b, ',')
		}
		t.line(depth + 1)
		t.string(m.key)
		t.b = append(t.b, ':')
		t.value(m.value, depth+1)
	}
	t.line(depth)
	t.b = append(t.b, '}')
}

func (t *textWriter) value(value any, depth int) {
	switch value := value.(type) {
	case string:
		t.string(value)
	case int64:
		t.b = strconv.AppendInt(t.b, value, 10)
	case object:
		t.object(value, depth)
	case []string:
		list(t, value, depth, func(s string) { t.string(s) })
	case []object:
		list(t, value, depth, func(o object) { t.object(o, depth+1) })
	case []int64:
		list(t, value, depth, func(n int64) { t.b = strconv.AppendInt(t.b, n, 10) })
	}
}

func list[T any](t *textWriter, values []T, depth int, write func(T)) {
	t.b = append(t.b, '[')
	for i, value := range values {
		if i > 0 {
			t.b = append(t.b, ',')
		}
		t.line(depth + 1)
		write(value)
	}
	t.line(depth)
	t.b = append(t.b, ']')
}

func (t *textWriter) string(s string) {
	text, _ := json.Marshal(s) // a string always can be
	t.b = append(t.b, text...)
}
