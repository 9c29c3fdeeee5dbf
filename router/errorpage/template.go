package errorpage

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// placeholder is what a page can name.
type placeholder uint8

const (
	noPlaceholder placeholder = iota
	thisStatus
	thisReason
	thisText
	thisHost
	thisRequestID
	thisRetryAfter
)

var placeholders = map[string]placeholder{
	"status": thisStatus, "reason": thisReason, "text": thisText, "host": thisHost, "rid": thisRequestID, "retry-after": thisRetryAfter,
}

const placeholderNames = "%(status), %(reason), %(text), %(host), %(rid) or %(retry-after)"

// template is a page, cut at its placeholders.
type template struct {
	form        form
	contentType string
	parts       []part
}

// part is literal text and what follows it.
type part struct {
	literal string
	then    placeholder
}

// mostPage is how large a page may be: each of its answers is made in memory.
const mostPage = 1 << 20

// compileTemplate compiles the content of a file; the error begins with its name.
func compileTemplate(content []byte, origin string) (*template, error) {
	t := &template{}
	extension := strings.ToLower(origin[strings.LastIndexAny(origin, "./")+1:])
	switch extension {
	case "html", "htm":
		t.form, t.contentType = htmlForm, "text/html"
	case "json":
		t.form, t.contentType = jsonForm, "application/json"
	case "txt":
		t.form, t.contentType = textForm, "text/plain"
	default:
		return nil, fmt.Errorf("%s: want a file whose name ends with .html, .txt or .json, which tells what it is", origin)
	}
	switch {
	case len(content) == 0:
		return nil, fmt.Errorf("%s: the file is empty", origin)
	case len(content) > mostPage:
		return nil, fmt.Errorf("%s: the file has %d bytes, more than %d", origin, len(content), mostPage)
	}
	text := string(content)
	if t.form != jsonForm && utf8.ValidString(text) {
		t.contentType += "; charset=utf-8" // else what it says itself
	}
	var literal strings.Builder
	for at := 0; at < len(text); {
		i := strings.Index(text[at:], "%(")
		if i < 0 {
			literal.WriteString(text[at:])
			break
		}
		literal.WriteString(text[at : at+i])
		at += i
		if at > 0 && text[at-1] == '%' { // "%%(" is "%("
			literal.WriteString("(")
			at += len("%(")
			continue
		}
		name, _, closed := strings.Cut(text[at+2:], ")")
		p, known := placeholders[name]
		if !closed || !known {
			if len(name) > 20 {
				name = name[:20] + "…"
			}
			return nil, fmt.Errorf("%s:%d: %q is no placeholder: want %s; %%%%( stands for %%( itself", origin, 1+strings.Count(text[:at], "\n"), "%("+name, placeholderNames)
		}
		t.parts = append(t.parts, part{literal.String(), p})
		literal.Reset()
		at += len("%()") + len(name)
	}
	t.parts = append(t.parts, part{literal.String(), noPlaceholder})
	return t, nil
}

func (t *template) append(dst []byte, a *Answer) []byte {
	for _, p := range t.parts {
		dst = append(dst, p.literal...)
		switch p.then {
		case thisStatus:
			dst = strconv.AppendInt(dst, int64(a.Status), 10)
		case thisReason:
			dst = appendEscaped(dst, a.reason(), t.form)
		case thisText:
			dst = appendEscaped(dst, a.text(), t.form)
		case thisHost:
			dst = appendEscaped(dst, a.Host, t.form)
		case thisRequestID:
			dst = appendEscaped(dst, a.RequestID, t.form)
		case thisRetryAfter:
			dst = strconv.AppendInt(dst, int64(a.RetryAfter), 10)
		}
	}
	return dst
}
