package rule

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// requestPart is a part of the request that a set… action replaces.
type requestPart struct {
	action   string
	variable string // what it is called among the request variables
	place    place
	// edit is where the new value goes besides; nil: nowhere, no rule asks for it.
	edit func(*RequestEdits) *[]byte
	// adapt makes a value fit; nil: any is right.
	adapt func(d *Decision, value []byte) (adapted []byte, ok bool)
	// path: the value names a file or directory, for whoever opens it.
	path bool
	// needed: an empty value leaves the part as it is, because a request without it
	// would be none.
	needed bool
}

var (
	partMethod = requestPart{action: "setmethod", variable: "REQUEST_METHOD", place: method, needed: true, adapt: (*Decision).asMethod,
		edit: func(e *RequestEdits) *[]byte { return &e.Method }}
	partURI = requestPart{action: "seturi", variable: "REQUEST_URI", place: urlText, needed: true, adapt: (*Decision).asURI,
		edit: func(e *RequestEdits) *[]byte { return &e.URI }}
	partPath = requestPart{action: "setpathinfo", variable: "PATH_INFO", place: anywhere, needed: true, adapt: (*Decision).asPath,
		edit: func(e *RequestEdits) *[]byte { return &e.Path }}
	partRemoteAddr = requestPart{action: "setremoteaddr", variable: "REMOTE_ADDR", place: fieldValue, needed: true,
		edit: func(e *RequestEdits) *[]byte { return &e.RemoteAddr }}
	partRemoteUser = requestPart{action: "setuser", variable: "REMOTE_USER", place: fieldValue, adapt: (*Decision).asUser,
		edit: func(e *RequestEdits) *[]byte { return &e.RemoteUser }}
	partScriptName = requestPart{action: "setscriptname", variable: "SCRIPT_NAME", place: anywhere,
		edit: func(e *RequestEdits) *[]byte { return &e.ScriptName }}
	partDocumentRoot = requestPart{action: "setdocroot", variable: "DOCUMENT_ROOT", path: true,
		edit: func(e *RequestEdits) *[]byte { return &e.DocumentRoot }}
	partScheme = requestPart{action: "setscheme", variable: "UWSGI_SCHEME", place: scheme, needed: true, adapt: (*Decision).asScheme,
		edit: func(e *RequestEdits) *[]byte { return &e.Scheme }}
	partApp  = requestPart{action: "setapp", variable: "UWSGI_APPID", place: anywhere}
	partFile = requestPart{action: "setfile", variable: "UWSGI_FILE", path: true} // 2.0 says UWSGI_HOME, by mistake
	partHome = requestPart{action: "sethome", variable: "UWSGI_HOME", path: true}
)

// setAction replaces a part of the request: setmethod:PUT. Rules after it see the
// new one.
type setAction struct {
	part  *requestPart
	value template
}

func parseSet(part *requestPart) parser {
	return func(arguments string, s *scope) (action, error) {
		var value template
		var err error
		if part.path {
			value, err = parsePath(arguments, s)
		} else {
			value, err = parseTemplate(arguments, part.place, s)
		}
		if err != nil {
			return nil, err
		}
		if part.place == urlText {
			if head := value.head(); head != "" && head[0] != '/' {
				return nil, fmt.Errorf("%q: want a path that begins with /", arguments)
			}
			value.encode()
		}
		if value.isLiteral() {
			p := part.asPart()
			if _, ok := p.put(nil, []byte(value.literal), origin{own: true}); !ok || value.literal == "" && part.needed {
				return nil, fmt.Errorf("%q can not be part of %s", arguments, p.place)
			}
		}
		return &setAction{part, value}, nil
	}
}

// asPart is what the value is put into.
func (r *requestPart) asPart() *part {
	where := r.place
	if r.path {
		where = anywhere
	}
	return &part{place: where}
}

// encode escapes what the rule's own text may not have in a URL.
func (t *template) encode() {
	t.literal = encodeURL(t.literal)
	for i := range t.list() {
		p := &(*t.parts)[i]
		p.literal = encodeURL(p.literal)
	}
}

func (a *setAction) apply(r *Rule, q *Query, d *Decision) flow {
	value, ok := d.fillPath(&a.value, a.part.path, q)
	if !ok {
		d.Rule = r
		return d.refuse()
	}
	from := d.filled
	from.raw = from.raw && isRawVariable(a.part.variable)
	if len(value) == 0 && a.part.needed {
		return next
	}
	if a.part.adapt != nil {
		if value, ok = a.part.adapt(d, value); !ok {
			d.Rule = r
			return d.refuse()
		}
	}
	d.set(a.part, value, from)
	return next
}

// set makes value, which lives in d, that part of the request.
func (d *Decision) set(part *requestPart, value []byte, from origin) {
	if part.edit != nil {
		*part.edit(&d.Request) = value
	}
	d.Vars = append(d.Vars, Var{Name: part.variable, Value: value, from: from})
}

func (a *setAction) String() string                  { return a.part.action + ":" + a.value.String() }
func (a *setAction) templates(visit func(*template)) { visit(&a.value) }

// asMethod and asScheme: several captures together may make what none of them is.
func (d *Decision) asMethod(value []byte) ([]byte, bool) {
	return value, d.admits(isMethod(value), value, method)
}

func (d *Decision) asScheme(value []byte) ([]byte, bool) {
	return value, d.admits(string(value) == "http" || string(value) == "https", value, scheme)
}

// admits remembers a value that is not ok, for refuse.
func (d *Decision) admits(ok bool, value []byte, where place) bool {
	if !ok {
		d.refused, d.refusedPart = value, &part{literal: "the value", group: -1, place: where}
	}
	return ok
}

// asURI: a target in origin form. Several slashes at its beginning would be a host
// to whom a redirect sends it.
func (d *Decision) asURI(value []byte) ([]byte, bool) {
	for len(value) > 1 && value[0] == '/' && value[1] == '/' {
		value = value[1:]
	}
	return d.beginWithSlash(value), true
}

// asPath: a decoded path without "." and "..".
func (d *Decision) asPath(value []byte) ([]byte, bool) {
	if !d.admits(bytes.IndexByte(value, 0) < 0, value, anywhere) {
		return nil, false
	}
	return normalise(d.beginWithSlash(value)), true
}

// asUser: the name alone, when a value has a password behind it.
func (d *Decision) asUser(value []byte) ([]byte, bool) {
	name, _, _ := bytes.Cut(value, []byte(":"))
	return name, true
}

// normalise resolves "." and ".." in a path that begins with a slash, in place,
// never above the root. Double slashes stay, as they do where requests come in.
func normalise(path []byte) []byte {
	clean := path[:0]
	for rest := path; len(rest) > 0; {
		// rest begins with the slash before a name.
		end := bytes.IndexByte(rest[1:], '/') + 1
		if end == 0 {
			end = len(rest)
		}
		last := end == len(rest)
		switch string(rest[1:end]) {
		case ".":
			if last {
				clean = append(clean, '/')
			}
		case "..":
			clean = clean[:max(bytes.LastIndexByte(clean, '/'), 0)]
			if last {
				clean = append(clean, '/')
			}
		default:
			clean = append(clean, rest[:end]...)
		}
		rest = rest[end:]
	}
	return clean
}

// setModifierAction is setmodifier1:N and setmodifier2:N.
type setModifierAction struct {
	which int
	value uint8
}

func parseSetModifier(which int) parser {
	return func(arguments string, s *scope) (action, error) {
		value, err := parseModifier(strings.TrimSpace(arguments))
		return &setModifierAction{which, value}, err
	}
}

func (a *setModifierAction) apply(r *Rule, q *Query, d *Decision) flow {
	d.HasModifiers = true
	if a.which == 1 {
		d.Modifier1 = a.value
	} else {
		d.Modifier2 = a.value
	}
	return next
}

func (a *setModifierAction) String() string {
	return "setmodifier" + strconv.Itoa(a.which) + ":" + strconv.Itoa(int(a.value))
}
