package errorpage

import (
	"fmt"
	"strconv"
	"strings"
)

// Selector says which answers a page is for.
type Selector struct {
	Host     Host     // the zero value is every host
	Statuses []Status // at least one
}

// Status is a range of statuses: 404 to 404, 500 to 599.
type Status struct{ From, To int }

func (s Status) String() string {
	if s.From == s.To {
		return strconv.Itoa(s.From)
	}
	return fmt.Sprintf("%d-%d", s.From, s.To)
}

const wantOption = "want [HOST] STATUS[,STATUS…] FILE, for instance: 502,503 /srv/errors/down.html"

// ParseOption reads the value of error-page: "[HOST] STATUS[,STATUS…] FILE", where a
// STATUS is 404, 5xx or 500-503.
func ParseOption(value string) (s Selector, file string, err error) {
	first, rest := cutWord(value)
	if !strings.ContainsAny(first, "0123456789") || strings.Trim(first, "0123456789xX,-") != "" {
		if s.Host, err = ParseHost(first); err != nil {
			return Selector{}, "", err
		}
		first, rest = cutWord(rest)
	}
	if first == "" || rest == "" {
		return Selector{}, "", fmt.Errorf("%s; got %q", wantOption, value)
	}
	for word := range strings.SplitSeq(first, ",") {
		status, ok := parseStatus(word)
		if !ok {
			return Selector{}, "", fmt.Errorf("%q is no status of an error: want 404, 5xx or 500-503, from 400 to 599", word)
		}
		s.Statuses = append(s.Statuses, status)
	}
	return s, rest, nil
}

func parseStatus(word string) (s Status, ok bool) {
	if class, ok := strings.CutSuffix(strings.ToLower(word), "xx"); ok && (class == "4" || class == "5") {
		from := int(class[0]-'0') * 100
		return Status{from, from + 99}, true
	}
	from, to, isRange := strings.Cut(word, "-")
	if !isRange {
		to = from
	}
	s.From, ok = number(from)
	if ok {
		s.To, ok = number(to)
	}
	return s, ok && s.From >= 400 && s.To <= 599 && s.From <= s.To
}

func number(word string) (int, bool) {
	n, err := strconv.ParseUint(word, 10, 16)
	return int(n), err == nil
}

// cutWord cuts at the first white space.
func cutWord(text string) (word, rest string) {
	text = strings.TrimSpace(text)
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		return text[:i], strings.TrimSpace(text[i:])
	}
	return text, ""
}
