package rule

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// headerAction changes the head of the response: addheader:NAME: VALUE,
// delheader:NAME, remheader:NAME.
type headerAction struct {
	remove bool
	name   string
	value  template
}

func parseAddHeader(arguments string, s *scope) (action, error) {
	name, text, found := strings.Cut(arguments, ":")
	if !found {
		return nil, fmt.Errorf("%q: want NAME: VALUE", arguments)
	}
	text = strings.Trim(text, " \t")
	if strings.EqualFold(name, "Connection") {
		return parseConnection(text, s)
	}
	if err := checkHeaderName(name); err != nil {
		return nil, err
	}
	value, err := parseTemplate(text, fieldValue, s)
	return &headerAction{name: name, value: value}, err
}

// parseConnection: uWSGI's way to say whether a connection is kept. A front's
// connection to its client is its own, so only the wish counts.
func parseConnection(value string, s *scope) (action, error) {
	switch strings.ToLower(value) {
	case "close":
		return closeConnectionAction{}, nil
	case "keep-alive":
		s.warning("addheader:Connection: Keep-Alive does nothing: connections are kept anyway, see http-keepalive")
		return keepConnectionAction{}, nil
	}
	return nil, fmt.Errorf("%q: want Connection: close", "Connection: "+value)
}

func parseDelHeader(arguments string, s *scope) (action, error) {
	if err := checkHeaderName(arguments); err != nil {
		return nil, err
	}
	return &headerAction{remove: true, name: arguments}, nil
}

// framing are the fields that say where a message ends, or belong to one
// connection: the front writes them, and nobody else may.
var framing = map[string]bool{
	"content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"proxy-connection": true, "te": true, "trailer": true, "upgrade": true,
}

func checkHeaderName(name string) error {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isLabelByte(c) && strings.IndexByte("!#%&'*+.^`|~", c) < 0 {
			return fmt.Errorf("%q: want the name of a header field, spelled out, without captures or variables", name)
		}
	}
	if name == "" {
		return errors.New("want the name of a header field")
	}
	if framing[strings.ToLower(name)] {
		return fmt.Errorf("%s: the front writes this field itself, leave it out", name)
	}
	return nil
}

func (a *headerAction) apply(r *Rule, q *Query, d *Decision) flow {
	value, ok := d.fill(&a.value, q)
	if !ok {
		d.Rule = r
		return d.refuse()
	}
	d.Response.Headers = append(d.Response.Headers, HeaderEdit{Remove: a.remove, Name: a.name, Value: value})
	return next
}

func (a *headerAction) String() string {
	if a.remove {
		return "delheader:" + a.name
	}
	return "addheader:" + a.name + ": " + a.value.String()
}

func (a *headerAction) templates(visit func(*template)) { visit(&a.value) }

// closeConnectionAction is addheader:Connection: close.
type closeConnectionAction struct{}

func (closeConnectionAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Response.Close = true
	return next
}

func (closeConnectionAction) String() string { return "addheader:Connection: close" }

// keepConnectionAction is addheader:Connection: Keep-Alive.
type keepConnectionAction struct{}

func (keepConnectionAction) apply(r *Rule, q *Query, d *Decision) flow { return next }
func (keepConnectionAction) String() string                            { return "addheader:Connection: Keep-Alive" }

// expiresAction adds an Expires field: so many seconds after the file's last change
// or a Unix time or, without either, now: expires:[filename=FILE,|unix=TIME,]value=SECONDS.
// (uWSGI counts from 1970 in the last case.)
type expiresAction struct {
	file        *filePath
	unix, value template
	text        string
}

func parseExpires(arguments string, s *scope) (action, error) {
	pairs, err := parsePairs(arguments, "filename unix value")
	if err != nil {
		return nil, err
	}
	a := &expiresAction{text: arguments}
	name, hasFile := pairs["filename"]
	_, hasUnix := pairs["unix"]
	switch {
	case hasFile && hasUnix:
		return nil, errors.New("want filename= or unix=, not both")
	case hasFile:
		file, err := parseFilePath(name, TestRoot, s)
		if err != nil {
			return nil, err
		}
		a.file = &file
	}
	for _, part := range []struct {
		key string
		to  *template
	}{{"unix", &a.unix}, {"value", &a.value}} {
		if *part.to, err = parseTemplate(pairs[part.key], anywhere, s); err != nil {
			return nil, err
		}
		if text := part.to.literal; part.to.isLiteral() && text != "" && !consistsOf([]byte(text), isDigit) {
			return nil, fmt.Errorf("%s=%s: want a number of seconds", part.key, text)
		}
	}
	return a, nil
}

func (a *expiresAction) apply(r *Rule, q *Query, d *Decision) flow {
	from := q.now()
	switch {
	case a.file != nil:
		name, ok := a.file.fill(q, d)
		if ok = ok && q.Files != nil; ok {
			from, ok = q.Files.ModTime(a.file.root, name)
		}
		if !ok {
			return next // there is no such file, so nothing to say about it
		}
	case !a.unix.isEmpty():
		from = time.Unix(d.seconds(&a.unix, q, latest), 0)
	}
	date := from.Add(time.Duration(d.seconds(&a.value, q, century)) * time.Second)
	at := len(d.buf)
	d.buf = appendDate(d.buf, date)
	d.Response.Headers = append(d.Response.Headers, HeaderEdit{Name: "Expires", Value: d.buf[at:len(d.buf):len(d.buf)]})
	return next
}

const (
	century = 100 * 366 * 24 * 3600
	latest  = 1 << 36 // a Unix time before the year 9999, with a century to spare
)

// seconds fills in a template as a number from 0 to most.
func (d *Decision) seconds(t *template, q *Query, most int64) int64 {
	at := len(d.buf)
	text, _ := d.fill(t, q)
	d.buf = d.buf[:at]
	return min(max(number(text), 0), most)
}

func (a *expiresAction) String() string { return "expires:" + a.text }

func (a *expiresAction) templates(visit func(*template)) {
	visit(&a.unix)
	visit(&a.value)
	if a.file != nil {
		visit(&a.file.name)
	}
}

// clearHeadersAction begins the response's head anew: clearheaders:STATUS.
type clearHeadersAction struct{ status *statusAction }

func parseClearHeaders(arguments string, s *scope) (action, error) {
	status, err := parseStatus(arguments)
	return &clearHeadersAction{status}, err
}

func (a *clearHeadersAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.Response.Reset, d.Response.Code, d.Response.Reason = true, a.status.code, a.status.reason
	return next
}

func (a *clearHeadersAction) String() string {
	return "clearheaders:" + a.status.String()[len("return:"):]
}

// transformationAction changes how the body is sent: gzip:, chunked:.
type transformationAction string

func parseTransformation(name transformationAction) parser {
	return func(arguments string, s *scope) (action, error) {
		if arguments != "" {
			return nil, fmt.Errorf("%q: want nothing behind the colon", arguments)
		}
		return name, nil
	}
}

func (a transformationAction) apply(r *Rule, q *Query, d *Decision) flow {
	if a == "gzip" {
		d.Response.Gzip = true
	} else {
		d.Response.Chunked = true
	}
	return next
}

func (a transformationAction) String() string { return string(a) + ":" }
