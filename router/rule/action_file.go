package rule

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// staticAction serves a file as static files are served: static:FILE. As
// static-next: the next rule has its turn when the file can not be read.
type staticAction struct {
	file filePath
	next bool
}

func parseStatic(next bool) parser {
	return func(arguments string, s *scope) (action, error) {
		file, err := parseFilePath(arguments, ServeRoot, s)
		return &staticAction{file, next}, err
	}
}

func (a *staticAction) apply(r *Rule, q *Query, d *Decision) flow {
	if a.next && !a.file.is(Readable, q, d) {
		return next
	}
	d.Rule = r
	name, ok := a.file.fill(q, d)
	if !ok {
		return d.refuse()
	}
	d.Kind, d.Root, d.Path, d.dir = Static, a.file.root, name, a.file.dir
	return stop
}

func (a *staticAction) String() string {
	name := "static:"
	if a.next {
		name = "static-next:"
	}
	return name + a.file.String()
}

func (a *staticAction) templates(visit func(*template)) { visit(&a.file.name) }

// fileAction sends a file with a status and a media type of the rule's choice:
//
//	file:filename=FILE[,status=STATUS][,content_type=TYPE][,mime=1]
//
// sendfile and fastfile are the same here; each also as …-next.
type fileAction struct {
	file        filePath
	code        int
	reason      string
	contentType string // "": by name
	next        bool
	text        string // as written
}

func parseFile(name string, next bool) parser {
	return func(arguments string, s *scope) (action, error) {
		pairs, err := parsePairs(arguments, "filename status content_type mime nocl no_headers")
		if err != nil {
			return nil, err
		}
		a := &fileAction{code: 200, reason: "OK", contentType: "text/html", next: next}
		if a.text = name + ":" + arguments; next {
			a.text = name + "-next:" + arguments
		}
		if pairs["filename"] == "" {
			return nil, errors.New("want filename=FILE")
		}
		if a.file, err = parseFilePath(pairs["filename"], ServeRoot, s); err != nil {
			return nil, err
		}
		if status := pairs["status"]; status != "" {
			answer, err := parseStatus(status)
			if err != nil {
				return nil, err
			}
			a.code, a.reason = answer.code, answer.reason
		}
		contentType, given := pairs["content_type"]
		switch {
		case given:
			a.contentType = contentType
			if err := fixed(contentType); err != nil {
				return nil, err
			}
			if !strings.Contains(contentType, "/") || hasControl([]byte(contentType)) {
				return nil, errors.New("content_type=" + contentType + ": want a media type such as text/plain")
			}
		case isSet(pairs["mime"]):
			a.contentType = ""
		}
		if isSet(pairs["no_headers"]) {
			return nil, errors.New("no_headers: every response has a head here, leave it out")
		}
		if isSet(pairs["nocl"]) {
			s.warning("nocl does nothing: the front frames every response by itself")
		}
		return a, nil
	}
}

func isSet(value string) bool { return value != "" && value != "0" }

func (a *fileAction) apply(r *Rule, q *Query, d *Decision) flow {
	if a.next && !a.file.is(Readable, q, d) {
		return next
	}
	d.Rule = r
	name, ok := a.file.fill(q, d)
	if !ok {
		return d.refuse()
	}
	d.Kind, d.Root, d.Path, d.dir = File, a.file.root, name, a.file.dir
	d.Code, d.Reason = a.code, d.keep(a.reason)
	if d.GuessType = a.contentType == ""; !d.GuessType {
		d.ContentType = d.keep(a.contentType)
	}
	return stop
}

func (a *fileAction) String() string                  { return a.text }
func (a *fileAction) templates(visit func(*template)) { visit(&a.file.name) }

// status spells a status with its reason.
func status(code int, reason []byte) string {
	if len(reason) == 0 {
		return strconv.Itoa(code) + " " + http.StatusText(code)
	}
	return strconv.Itoa(code) + " " + string(reason)
}
