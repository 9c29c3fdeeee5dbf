package errorpage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Page is one page of the operator's own.
type Page struct {
	Selector
	Content []byte
	// Origin is the name of the file, for errors; what it ends with is the page's
	// type: .html, .htm, .json, .txt.
	Origin string
}

// Pages is the compiled set. It is immutable; nil is usable and has the built-in
// forms only.
type Pages struct {
	hosts hosts[hostPages]
}

// hostPages are the pages of one host pattern, the narrowest range of statuses
// first.
type hostPages struct{ choices []choice }

type choice struct {
	status Status
	page   *template
	origin string
}

// Error is a page that can't be used.
type Error struct {
	Index  int // among those given to Compile
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// Compile compiles pages. For a request the most specific one is taken: an exact
// host before a wildcard (the longest first) before a pattern (in their order)
// before every host; and for a host the narrowest range of statuses. Two that are
// for the same answers are an error. The error is all that is wrong, joined, each an
// *Error.
func Compile(pages []Page) (*Pages, error) {
	compiled := &Pages{}
	var problems []error
	for i := range pages {
		if err := compiled.add(&pages[i]); err != nil {
			problems = append(problems, &Error{i, err.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return compiled, nil
}

func (p *Pages) add(page *Page) error {
	t, err := compileTemplate(page.Content, page.Origin)
	if err != nil {
		return err
	}
	here := p.hosts.at(page.Host)
	for _, s := range page.Statuses {
		for _, other := range here.choices {
			if other.page.form == t.form && width(other.status) == width(s) && other.status.From <= s.To && s.From <= other.status.To {
				return fmt.Errorf("%s: there is a page for host %s and status %s already: %s", page.Origin, page.Host, s, other.origin)
			}
		}
		here.choices = append(here.choices, choice{s, t, page.Origin})
	}
	slices.SortStableFunc(here.choices, func(a, b choice) int { return cmp.Compare(width(a.status), width(b.status)) })
	return nil
}

func width(s Status) int { return s.To - s.From }

// find is the most specific page of one of the forms, nil if there is none.
func (p *Pages) find(host []byte, status int, forms ...form) *template {
	if p == nil {
		return nil
	}
	var found *template
	p.hosts.all(host, func(here *hostPages) bool {
		for _, c := range here.choices {
			if c.status.From <= status && status <= c.status.To && slices.Contains(forms, c.page.form) {
				found = c.page
				return false
			}
		}
		return true
	})
	return found
}

// Append appends the body of the answer and tells its Content-Type.
func (p *Pages) Append(dst []byte, a *Answer) (body []byte, contentType string) {
	return appendAnswer(dst, a, nil, p)
}

// appendAnswer looks for a page in first and then in second.
func appendAnswer(dst []byte, a *Answer, first, second *Pages) (body []byte, contentType string) {
	own := func(forms ...form) *template {
		if t := first.find(a.Host, a.Status, forms...); t != nil {
			return t
		}
		return second.find(a.Host, a.Status, forms...)
	}
	wanted := preferred(a.Accept)
	var t *template
	switch wanted {
	case jsonForm:
		t = own(jsonForm)
	case htmlForm:
		// A page that is text is still the operator's, and a browser shows it.
		if t = own(htmlForm); t == nil {
			t = own(textForm)
		}
	case textForm:
		t = own(textForm)
	default:
		// Who writes a page looks for it with curl.
		if t = own(htmlForm, textForm); t == nil {
			t = own(jsonForm)
		}
	}
	if t != nil {
		return t.append(dst, a), t.contentType
	}
	switch wanted {
	case jsonForm:
		return appendJSON(dst, a), "application/json"
	case htmlForm:
		return appendHTML(dst, a), "text/html; charset=utf-8"
	}
	return append(append(dst, a.text()...), '\n'), "text/plain; charset=utf-8"
}
