package sni

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"emperor/internal/near"
)

// Ciphers is the set of cipher suites that an OpenSSL cipher string leaves of those
// that Go has. The zero value is Go's secure ones.
//
// Go chooses among them by its own order, whatever the order of the string, and the
// suites of TLS 1.3 are always there.
type Ciphers struct {
	chosen []uint16 // of TLS 1.2 and older, ascending; nil: the default, or none if newest
	newest bool     // the string left only suites of TLS 1.3
}

// Names returns OpenSSL's names of the suites for TLS 1.2 and older.
func (c Ciphers) Names() []string {
	names := make([]string, 0, len(suites))
	chosen := c.suites()
	for i := range suites {
		if slices.Contains(chosen, suites[i].id) {
			names = append(names, suites[i].name)
		}
	}
	return names
}

// suites returns the suites for tls.Config.CipherSuites.
func (c Ciphers) suites() []uint16 {
	if c.chosen != nil || c.newest {
		return c.chosen
	}
	return secureSuites
}

// ParseCiphers reads an OpenSSL cipher string: "HIGH:!aNULL",
// "ECDHE-RSA-AES128-GCM-SHA256:ECDHE+CHACHA20", "DEFAULT:!SHA1". A word for many
// suites takes only those that Go calls secure; the RSA key exchange and CBC with
// SHA256 have to be asked for, by a suite's name or by kRSA, RSA or SHA256. Notes
// are for a log: words that mean nothing. A string
// that leaves nothing is an error that lists what there is.
func ParseCiphers(text string) (c Ciphers, notes []string, err error) {
	l := cipherList{text: text}
	first := true
	for _, term := range strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == ',' || r == ';' || r == ' ' }) {
		if err := l.apply(term, first); err != nil {
			return Ciphers{}, nil, err
		}
		first = false
	}
	if l.strength >= 3 {
		l.keep(func(s *suite) bool {
			return s.has&kECDHE != 0 && (l.strength < 4 || s.has&aes128 == 0)
		})
	}
	var chosen []uint16
	var weak []string
	for i := range suites {
		bit := uint32(1) << i
		switch {
		case l.active&bit == 0:
		case suites[i].has&insecure != 0 && l.named&bit == 0:
			weak = append(weak, suites[i].name)
		default:
			chosen = append(chosen, suites[i].id)
		}
	}
	slices.Sort(chosen)
	if len(weak) > 0 && len(chosen) == 0 {
		l.note("%s: only suites that are not secure are left, and they have to be named: %s", text, strings.Join(weak, ":"))
	}
	if len(chosen) > 0 {
		return Ciphers{chosen: chosen}, l.notes, nil
	}
	if l.tls13 {
		return Ciphers{newest: true}, append(l.notes, text+": names suites of TLS 1.3 only, so older versions are not spoken"), nil
	}
	return Ciphers{}, nil, fmt.Errorf("the cipher string %q leaves nothing%s; known suites: %s; known words: %s",
		text, because(l.notes), strings.Join(suiteNames(), " "), strings.Join(helpfulWords, " "))
}

func because(notes []string) string {
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, "; ") + ")"
}

// cipherList is a cipher string while it is read: sets of indexes into suites. OpenSSL
// keeps an order too; Go has its own.
type cipherList struct {
	text     string
	active   uint32 // in the list
	dead     uint32 // killed by "!": never again in it
	named    uint32 // asked for by name, and not as one of many
	strength int    // @SECLEVEL
	tls13    bool   // a suite of TLS 1.3 was named
	notes    []string
}

func (l *cipherList) note(format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

func (l *cipherList) keep(good func(*suite) bool) {
	for i := range suites {
		if !good(&suites[i]) {
			l.active &^= 1 << i
		}
	}
}

// apply does what one term of the string says.
func (l *cipherList) apply(term string, first bool) error {
	if command, ok := strings.CutPrefix(term, "@"); ok {
		return l.command(command)
	}
	operation, words := byte(0), term
	if strings.IndexByte("!-+", term[0]) >= 0 {
		operation, words = term[0], term[1:]
	}
	if words == "" {
		return fmt.Errorf("%q in the cipher string %q is followed by nothing", term, l.text)
	}
	if words == "DEFAULT" && operation == 0 && !first {
		l.note("DEFAULT counts only at the start of %q", l.text)
		return nil
	}
	set, named, known := l.find(words)
	if !known {
		return nil
	}
	switch operation {
	case '!':
		l.dead |= set
		l.active &^= set
	case '-':
		l.active &^= set
	case '+': // to the end of an order that Go does not have
	default:
		l.active |= set &^ l.dead
		if named {
			l.named |= set
		}
	}
	return nil
}

func (l *cipherList) command(command string) error {
	if command == "STRENGTH" {
		return nil // an order
	}
	if digits, ok := strings.CutPrefix(command, "SECLEVEL="); ok {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n > 5 {
			return fmt.Errorf("@SECLEVEL=%s in a cipher string: want a number from 0 to 5", digits)
		}
		l.strength = n
		return nil
	}
	return fmt.Errorf("@%s is no command of a cipher string: want @STRENGTH or @SECLEVEL=N", command)
}

// find returns the suites that "ECDHE+AESGCM" means: those that have all of it.
func (l *cipherList) find(words string) (set uint32, named, known bool) {
	set = 1<<len(suites) - 1
	for word := range strings.SplitSeq(words, "+") {
		of, byName, ok := l.word(word)
		if !ok {
			return 0, false, false
		}
		set &= of
		named = named || byName
	}
	return set, named, true
}

// word returns the suites that one word means.
func (l *cipherList) word(word string) (set uint32, named, known bool) {
	for i := range suites {
		if suites[i].name == word || suites[i].standard == word {
			return 1 << i, true, true
		}
	}
	if slices.Contains(names13, word) {
		l.tls13 = true
		return 0, true, true
	}
	if has, ok := aliases[word]; ok {
		for i := range suites {
			if has != 0 && suites[i].has&has != 0 {
				set |= 1 << i
			}
		}
		return set, slices.Contains(namingWords, word), true
	}
	if slices.Contains(foreignWords, word) || foreignSuite(word) {
		return 0, false, true
	}
	candidates := append(suiteNames(), helpfulWords...)
	guess, ok := near.Word(word, candidates)
	if upper := strings.ToUpper(word); !ok && slices.Contains(candidates, upper) {
		guess, ok = upper, true
	}
	if ok {
		l.note("%q means nothing in a cipher string, did you mean %s?", word, guess)
	} else {
		l.note("%q means nothing in a cipher string", word)
	}
	return 0, false, false
}

// foreignSuite reports whether word is a suite of OpenSSL's that Go does not have.
func foreignSuite(word string) bool {
	if _, rest, ok := strings.Cut(word, "-"); !ok || rest == "" || strings.ToUpper(word) != word {
		return false
	}
	for _, end := range []string{"-SHA", "-SHA256", "-SHA384", "-MD5", "-CCM", "-CCM8", "-POLY1305"} {
		if strings.HasSuffix(word, end) {
			return true
		}
	}
	return false
}

func suiteNames() []string {
	names := make([]string, 0, len(suites)+len(names13))
	for i := range suites {
		names = append(names, suites[i].name)
	}
	return append(names, names13...)
}

// secureSuites is what Go offers by itself, ascending.
var secureSuites = func() []uint16 {
	var ids []uint16
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			ids = append(ids, s.ID)
		}
	}
	slices.Sort(ids)
	return ids
}()

// CipherName returns OpenSSL's name of a suite, which is what logs and vassals of
// uWSGI expect: "ECDHE-RSA-AES128-GCM-SHA256".
func CipherName(id uint16) string {
	for i := range suites {
		if suites[i].id == id {
			return suites[i].name
		}
	}
	return tls.CipherSuiteName(id)
}
