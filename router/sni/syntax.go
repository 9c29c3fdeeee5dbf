package sni

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"emperor/internal/near"
)

// Files is the tail that https, sni and sni-regexp share:
// CRT,KEY[,CIPHERS[,[!]CA]].
type Files struct {
	Certificate, Key string
	Ciphers          string // as written; empty for the default
	ClientCA         string
	Client           ClientAuth
}

// Source returns where the pair of f comes from.
func (f Files) Source() Source {
	return Source{Certificate: File{Name: f.Certificate}, Key: File{Name: f.Key}}
}

// Policy returns the policy that f spells on top of base, with notes for a log.
func (f Files) Policy(base Policy) (policy Policy, notes []string, err error) {
	if f.Ciphers != "" {
		if base.Ciphers, notes, err = ParseCiphers(f.Ciphers); err != nil {
			return Policy{}, nil, err
		}
	}
	base.Client, base.ClientCA = f.Client, File{}
	if f.Client != NoClientCert {
		base.ClientCA = File{Name: f.ClientCA}
	}
	return base, notes, nil
}

// HTTPS is one https or https2.
type HTTPS struct {
	Address string
	Files
	// OwnCertificate is false for an address alone: a listener that serves the names
	// of sni, sni-regexp and sni-dir and no other. It is for the caller to see that
	// there are any.
	OwnCertificate bool
	// HTTP2 is set by spdy=1 of https2: HTTP/2 is what became of SPDY.
	HTTP2 bool
}

// What the options want, for their errors.
const (
	wantHTTPS  = "want ADDRESS,CERTIFICATE,KEY[,CIPHERS[,[!]CLIENT-CA]]"
	wantHTTPS2 = "want addr=ADDRESS,cert=CERTIFICATE,key=KEY[,ciphers=CIPHERS][,clientca=[!]CLIENT-CA]"
	wantSNI    = "want NAME CERTIFICATE,KEY[,CIPHERS[,[!]CLIENT-CA]]"
	wantRegexp = "want REGEXP CERTIFICATE,KEY[,CIPHERS[,[!]CLIENT-CA]]"
)

// ParseHTTPS reads ADDR,CRT,KEY[,CIPHERS[,[!]CA]], or ADDR alone.
func ParseHTTPS(value string) (HTTPS, error) {
	address, tail, more := strings.Cut(strings.TrimSpace(value), ",")
	h := HTTPS{Address: strings.TrimSpace(address), OwnCertificate: more}
	if err := checkAddress(h.Address); err != nil {
		return HTTPS{}, fmt.Errorf("%w; %s", err, wantHTTPS)
	}
	if more {
		var err error
		if h.Files, err = parseFiles(tail); err != nil {
			return HTTPS{}, fmt.Errorf("%w; %s", err, wantHTTPS)
		}
	}
	return h, nil
}

// checkAddress finds what is surely no address. The rest is the listener's matter.
func checkAddress(address string) error {
	if address == "" {
		return errors.New("the address is missing")
	}
	if _, err := strconv.Atoi(address); err == nil {
		return fmt.Errorf("%q is no address, for a port write \":%s\"", address, address)
	}
	return nil
}

// ParseHTTPS2 reads addr=,cert=,key=[,ciphers=][,clientca=][,spdy=1].
func ParseHTTPS2(value string) (HTTPS, error) {
	var h HTTPS
	given := map[string]bool{}
	for item := range strings.SplitSeq(strings.TrimSpace(value), ",") {
		key, text, ok := strings.Cut(item, "=")
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		if !ok {
			return HTTPS{}, fmt.Errorf("%q is not KEY=VALUE; %s", item, wantHTTPS2)
		}
		canonical, known := https2Keys[key]
		if !known {
			return HTTPS{}, unknownKey(key)
		}
		if given[canonical] {
			return HTTPS{}, fmt.Errorf("%s is there twice", canonical)
		}
		given[canonical] = true
		if text == "" {
			return HTTPS{}, fmt.Errorf("%s is empty; %s", key, wantHTTPS2)
		}
		switch canonical {
		case "addr":
			h.Address = text
		case "cert":
			h.Certificate = text
		case "key":
			h.Key = text
		case "ciphers":
			h.Ciphers = text
		case "clientca":
			if err := h.setClientCA(text); err != nil {
				return HTTPS{}, fmt.Errorf("%w; %s", err, wantHTTPS2)
			}
		case "spdy":
			h.HTTP2 = text != "0" && text != "false"
		}
	}
	if err := checkAddress(h.Address); err != nil {
		return HTTPS{}, fmt.Errorf("%w; %s", err, wantHTTPS2)
	}
	h.OwnCertificate = given["cert"] || given["key"]
	switch {
	case given["cert"] != given["key"]:
		return HTTPS{}, fmt.Errorf("a certificate and its key belong together, there is only one of them; %s", wantHTTPS2)
	case !h.OwnCertificate && (given["ciphers"] || given["clientca"]):
		return HTTPS{}, fmt.Errorf("ciphers and clientca go with cert and key; %s", wantHTTPS2)
	}
	return h, nil
}

// https2Keys are the keys of https2 and what each is called here.
var https2Keys = map[string]string{
	"addr": "addr", "address": "addr",
	"cert": "cert", "crt": "cert",
	"key": "key", "ciphers": "ciphers",
	"clientca": "clientca", "client_ca": "clientca",
	"spdy": "spdy",
}

func unknownKey(key string) error {
	if guess, ok := near.Word(key, slices.Sorted(maps.Keys(https2Keys))); ok {
		return fmt.Errorf("unknown key %q, did you mean %q? %s", key, guess, wantHTTPS2)
	}
	return fmt.Errorf("unknown key %q; %s", key, wantHTTPS2)
}

// Named is one sni or sni-regexp.
type Named struct {
	// Name is a host name, "*.example.com", or "*" for any. It is empty for
	// "sni = CRT,KEY": the names are those of the certificate.
	Name string
	// Pattern is a regular expression instead of a Name.
	Pattern string
	Files
	// Note says how the line was read where that is not plain; for a log.
	Note string
}

// ParseSNI reads [NAME ]CRT,KEY[,CIPHERS[,[!]CA]].
func ParseSNI(value string) (Named, error) {
	value = strings.TrimSpace(value)
	var n Named
	// A name has no comma: a space behind one is part of a path.
	name, tail, ok := strings.Cut(value, " ")
	if !ok || strings.Contains(name, ",") {
		name, tail = "", value
	}
	var err error
	if name != "" {
		if n.Name, err = canonicalPattern(name); err != nil {
			return Named{}, err
		}
	}
	if n.Files, err = parseFiles(strings.TrimSpace(tail)); err != nil {
		return Named{}, fmt.Errorf("%w; %s", err, wantSNI)
	}
	return n, nil
}

// ParseSNIRegexp reads REGEXP CRT,KEY[,CIPHERS[,[!]CA]]. A pattern that starts with
// "*", as in uWSGI's documentation, is no regular expression and read as a wildcard.
func ParseSNIRegexp(value string) (Named, error) {
	value = strings.TrimSpace(value)
	pattern, tail, ok := strings.Cut(value, " ")
	if !ok {
		return Named{}, fmt.Errorf("there is no regular expression before the files; %s", wantRegexp)
	}
	var n Named
	var err error
	if strings.HasPrefix(pattern, "*") {
		if n.Name, err = canonicalPattern(pattern); err != nil {
			return Named{}, err
		}
		n.Note = fmt.Sprintf("%q is no regular expression and read as a wildcard; \"sni = %s …\" says so", pattern, n.Name)
	} else {
		if _, err := compilePattern(pattern); err != nil {
			return Named{}, err
		}
		n.Pattern = pattern
		if !strings.HasSuffix(pattern, "$") && !strings.HasSuffix(pattern, `\z`) {
			n.Note = fmt.Sprintf("the regular expression %s does not end with \"$\" and matches longer names too, such as those that end with .example.net", pattern)
		}
	}
	if n.Files, err = parseFiles(strings.TrimSpace(tail)); err != nil {
		return Named{}, fmt.Errorf("%w; %s", err, wantRegexp)
	}
	return n, nil
}

// compilePattern makes the pattern of an sni-regexp. Names come in lower case,
// whatever the pattern is written in.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile("(?i:" + pattern + ")")
	if err == nil {
		return re, nil
	}
	reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	return nil, fmt.Errorf("%s is no regular expression: %s", pattern, strings.ReplaceAll(reason, "(?i:"+pattern+")", pattern))
}

// parseFiles reads CRT,KEY[,CIPHERS[,[!]CA]].
func parseFiles(tail string) (Files, error) {
	fields := strings.Split(tail, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	var f Files
	f.Certificate = fields[0]
	switch {
	case strings.HasPrefix(tail, "-----BEGIN "):
		return Files{}, errors.New("this is a certificate itself (uWSGI's ssl-tmp-dir); put it into a file and name that")
	case f.Certificate == "":
		return Files{}, errors.New("the certificate is missing")
	case len(fields) < 2 || fields[1] == "":
		return Files{}, errors.New("the key is missing")
	case len(fields) > 4:
		return Files{}, fmt.Errorf("there is %q behind the client CA", strings.Join(fields[4:], ","))
	}
	f.Key = fields[1]
	if len(fields) > 2 {
		f.Ciphers = fields[2]
	}
	if len(fields) > 3 {
		if err := f.setClientCA(fields[3]); err != nil {
			return Files{}, err
		}
	}
	return f, nil
}

// errNoClientCA is for what could be taken for "ask for no certificate", and by its
// writer for "ask for one".
var errNoClientCA = errors.New("the file of client CAs is empty: without one nobody would be asked for a certificate; name it, or leave its comma out")

func (f *Files) setClientCA(text string) error {
	f.Client = RequestClientCert
	if path, require := strings.CutPrefix(text, "!"); require {
		f.Client, text = RequireClientCert, strings.TrimSpace(path)
	}
	if text == "" {
		return errNoClientCA
	}
	f.ClientCA = text
	return nil
}
