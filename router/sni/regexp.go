package sni

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// compileEntry makes the pattern of an sni-regexp.
func compileEntry(e *Entry) (*pattern, error) {
	re, err := compilePattern(e.Pattern)
	if err != nil {
		return nil, err
	}
	p := &pattern{re: re, choice: e.choice(Regexp, e.Pattern)}
	groups := re.NumSubexp()
	if p.certificate, err = compileTemplate(e.Source.Certificate.Name, groups); err != nil {
		return nil, err
	}
	if p.key, err = compileTemplate(e.Source.Key.Name, groups); err != nil {
		return nil, err
	}
	if e.Policy.Client != NoClientCert {
		if p.ca, err = compileTemplate(e.Policy.ClientCA.Name, groups); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// match returns what a name gets that the pattern matches. Captures that would
// leave a path's directory make it no match: nothing there is this name's.
func (p *pattern) match(name string) (Choice, bool) {
	if p.certificate == nil && p.key == nil && p.ca == nil {
		if p.re.MatchString(name) {
			return p.choice, true
		}
		return Choice{}, false
	}
	at := p.re.FindStringSubmatchIndex(name)
	if at == nil {
		return Choice{}, false
	}
	c := p.choice
	c.guessed = true
	for _, to := range []struct {
		template *template
		file     *File
	}{{p.certificate, &c.Source.Certificate}, {p.key, &c.Source.Key}, {p.ca, &c.ClientCA}} {
		if to.template == nil {
			continue
		}
		text, err := to.template.expand(name, at)
		if err != nil {
			return Choice{}, false
		}
		to.file.Name = text
	}
	if p.ca != nil {
		c.id.client.ca = c.ClientCA
	}
	return c, true
}

// template is a path with captures: "/etc/certs/$1.crt".
type template struct {
	root  string // the directory that is spelled before the first capture: "/etc/certs/"
	parts []part
}

// part is a text and the number of the capture behind it.
type part struct {
	text  string
	group int // -1: none
}

var errCaptureInRoot = errors.New("want a directory before the first capture, as in /etc/certs/$1.crt")

// compileTemplate returns nil for a path without captures. As in uWSGI, $ and one
// digit is a capture and any other $ is itself.
func compileTemplate(text string, groups int) (*template, error) {
	t := &template{}
	rest, literal := text, ""
	for {
		i := strings.IndexByte(rest, '$')
		if i < 0 || i+1 >= len(rest) {
			break
		}
		digit := rest[i+1]
		if digit < '0' || digit > '9' {
			literal, rest = literal+rest[:i+1], rest[i+1:]
			continue
		}
		group := int(digit - '0')
		if group > groups {
			return nil, fmt.Errorf("%s: the regular expression has no group %d, it has %d", text, group, groups)
		}
		t.parts = append(t.parts, part{literal + rest[:i], group})
		literal, rest = "", rest[i+2:]
	}
	if t.parts == nil {
		return nil, nil
	}
	t.parts = append(t.parts, part{literal + rest, -1})
	slash := strings.LastIndexByte(t.parts[0].text, '/')
	if slash < 0 {
		return nil, fmt.Errorf("%s: %w", text, errCaptureInRoot)
	}
	t.root = t.parts[0].text[:slash+1]
	return t, nil
}

var errConfined = errors.New("the captures would leave the directory")

// expand puts captures of a canonical name in. Those have neither "/" nor other
// surprises, but they have dots, and a path has slashes of its own around them.
func (t *template) expand(name string, at []int) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.group < 0 || at[2*p.group] < 0 {
			continue
		}
		b.WriteString(name[at[2*p.group]:at[2*p.group+1]])
	}
	text := b.String()
	for component := range strings.SplitSeq(text[len(t.root):], "/") {
		if component == "" || component == "." || component == ".." {
			return "", errConfined
		}
	}
	if !strings.HasPrefix(path.Clean(text), path.Clean(t.root)) {
		return "", errConfined
	}
	return text, nil
}
