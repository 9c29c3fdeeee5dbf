package rule

import (
	"bytes"
	"fmt"
	"strings"
)

// rewriteAction gives the request another path: rewrite:PATH[?QUERY]. The old query
// stays, behind the new one if there is one. REQUEST_URI stays as it is, as in
// uWSGI; whoever sends the request on in HTTP asks for the new path all the same.
//
// The rule's own text and what comes from the URL as it was sent is decoded; a text
// that was decoded already, such as a capture of route, is not decoded twice.
// (uWSGI does so, and %252e%252e becomes "..".)
type rewriteAction struct {
	parts []part // the path's, then the query's from the index query on
	query int
	split bool // the rule spells a "?"
	last  bool
	text  string
}

func parseRewrite(last bool) parser {
	return func(arguments string, s *scope) (action, error) {
		if arguments == "" {
			return nil, fmt.Errorf("%q: want a path such as /new/$1", arguments)
		}
		t, err := parseTemplate(arguments, urlText, s)
		if err != nil {
			return nil, err
		}
		a := &rewriteAction{last: last, text: arguments}
		parts := t.list()
		if t.isLiteral() {
			parts = []part{{literal: t.literal, group: -1}}
		}
		for _, p := range parts {
			if !p.isLiteral() || a.split {
				p.literal = encodeURL(p.literal)
				a.parts = append(a.parts, p)
				continue
			}
			path, query, split := strings.Cut(p.literal, "?")
			decoded, ok := appendDecoded(nil, []byte(path))
			if !ok {
				return nil, fmt.Errorf("%s: want two hexadecimal digits behind each %%, and no %%00", arguments)
			}
			a.parts = append(a.parts, part{literal: string(decoded), group: -1})
			if split {
				a.split, a.query = true, len(a.parts)
				a.parts = append(a.parts, part{literal: encodeURL(query), group: -1})
			}
		}
		if !a.split {
			a.query = len(a.parts)
		}
		return a, nil
	}
}

// appendDecoded appends text with %XX decoded; not ok for what is no escape and for
// NUL, which no path has.
func appendDecoded(dst, text []byte) (result []byte, ok bool) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			if i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]) {
				return dst, false
			}
			c = unhex(text[i+1])<<4 | unhex(text[i+2])
			i += 2
		}
		if c == 0 {
			return dst, false
		}
		dst = append(dst, c)
	}
	return dst, true
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func (a *rewriteAction) apply(r *Rule, q *Query, d *Decision) flow {
	at := len(d.buf)
	begin := a.query // the part that the query begins with
	var tail []byte  // what a text as the client sent it has behind a "?"
	for i := 0; i < begin; i++ {
		p := &a.parts[i]
		if p.isLiteral() {
			d.buf = append(d.buf, p.literal...)
			continue
		}
		text, from := p.text(q, d)
		ok := bytes.IndexByte(text, 0) < 0
		if from.raw {
			var more bool
			if text, tail, more = bytes.Cut(text, questionMark); more {
				begin = i + 1
			}
			d.buf, ok = appendDecoded(d.buf, text)
		} else {
			d.buf = append(d.buf, text...)
		}
		if !ok {
			d.refused, d.refusedPart, d.Rule = text, p, r
			return d.refuse()
		}
	}
	path := normalise(d.beginWithSlash(d.buf[at:len(d.buf):len(d.buf)]))
	query := a.makeQuery(q, d, tail, begin)
	d.Request.Path, d.Request.QueryString = path, query
	d.Vars = append(d.Vars, Var{Name: "PATH_INFO", Value: path}, Var{Name: "QUERY_STRING", Value: query, from: origin{raw: true}})
	if a.last {
		d.Rule = r
		return stop
	}
	return next
}

var questionMark = []byte("?")

// makeQuery puts together tail, the parts from begin on, and the old query.
func (a *rewriteAction) makeQuery(q *Query, d *Decision, tail []byte, begin int) []byte {
	at := len(d.buf)
	d.buf = appendURL(d.buf, tail, true)
	for i := begin; i < len(a.parts); i++ {
		p := &a.parts[i]
		if i == a.query && len(d.buf) > at {
			d.buf = append(d.buf, '&')
		}
		switch {
		case !p.isLiteral():
			text, from := p.text(q, d)
			d.buf = appendURL(d.buf, text, from.raw)
		case i < a.query:
			d.buf = appendURL(d.buf, []byte(p.literal), false)
		default:
			d.buf = append(d.buf, p.literal...)
		}
	}
	old := queryStringOf(q, d)
	if len(d.buf) > at && len(old) > 0 {
		d.buf = append(d.buf, '&')
	}
	d.buf = append(d.buf, old...)
	return d.buf[at:len(d.buf):len(d.buf)]
}

func (a *rewriteAction) String() string {
	if a.last {
		return "rewrite-last:" + a.text
	}
	return "rewrite:" + a.text
}

func (a *rewriteAction) templates(visit func(*template)) { visit(&template{parts: &a.parts}) }
