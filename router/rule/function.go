package rule

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// function is what a template can do besides putting in a variable: ${name[ARG]}.
type function struct {
	name string
	// check says what is wrong with an argument; nil when any will do.
	check func(argument string, c Chain) error
	// append appends the result.
	append func(dst []byte, argument string, q *Query, d *Decision) (result []byte, from origin)
	raw    bool // the result is percent-encoded, as the client sent it
}

// functions are those of uWSGI, those of 2.1 included, that do not ask a worker.
var functions = []*function{
	{name: "base64", check: variableName, append: appendBase64},
	{name: "cookie", check: anyName, append: appendCookie, raw: true},
	{name: "hex", check: variableName, append: appendHex},
	{name: "httptime", check: wholeNumber, append: appendHTTPTime},
	{name: "lower", check: variableName, append: appendLower},
	{name: "mime", check: variableName, append: appendType},
	{name: "qs", check: anyName, append: appendQueryItem, raw: true},
	{name: "time", check: timeUnit, append: appendTime},
	{name: "upper", check: variableName, append: appendUpper},
	{name: "uwsgi", check: checkServerValue, append: appendServerValue},
}

func findFunction(name, argument string, c Chain) (*function, error) {
	var names []string
	for _, f := range functions {
		if f.name == name {
			if strings.Contains(argument, "$") {
				return nil, errors.New("want a fixed text in the brackets, without captures or variables")
			}
			return f, f.check(argument, c)
		}
		names = append(names, f.name)
	}
	return nil, fmt.Errorf("there is no %s[…] in the front, want one of %s", name, strings.Join(names, " "))
}

func anyName(argument string, _ Chain) error {
	if argument == "" {
		return errors.New("want a name in the brackets")
	}
	return nil
}

func variableName(argument string, _ Chain) error {
	if !isVariableName(argument) {
		return errors.New("want the name of a request variable in the brackets, such as HTTP_HOST")
	}
	return nil
}

func wholeNumber(argument string, _ Chain) error {
	if _, err := strconv.ParseUint(argument, 10, 31); err != nil {
		return errors.New("want a number of seconds in the brackets")
	}
	return nil
}

func timeUnit(argument string, _ Chain) error {
	if argument != "unix" && argument != "micros" {
		return errors.New("want unix or micros in the brackets")
	}
	return nil
}

// checkServerValue: what uWSGI tells of itself, as far as there is such a thing.
func checkServerValue(argument string, c Chain) error {
	switch argument {
	case "uuid", "sor":
		return nil
	case "status":
		if c == RequestChain {
			return errors.New("there is no status before the response, want it in an error-route, response-route or final-route")
		}
		return nil
	case "rsize", "rtime":
		if c != FinalChain {
			return errors.New("it is known when the response has been sent, want it in a final-route")
		}
		return nil
	case "wid", "pid":
		return errors.New("the front has no workers, and no process that stays the same")
	case "lq":
		return errors.New("the front has no listen queue to tell; see the emperor's statistics")
	}
	return errors.New("want one of rsize rtime sor status uuid in the brackets")
}

// appendCookie appends the value of the first cookie of a name, as it was sent.
func appendCookie(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	cookies, _ := d.variable(q, "HTTP_COOKIE")
	return append(dst, item(cookies, name, ';')...), origin{raw: true}
}

// appendQueryItem appends the value of the first item of a name in the query
// string, as it was sent.
func appendQueryItem(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	return append(dst, item(queryStringOf(q, d), name, '&')...), origin{raw: true}
}

// item finds the value of name in "name=value" items.
func item(list []byte, name string, separator byte) []byte {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != separator {
			end++
		}
		one := list[:end]
		list = list[min(end+1, len(list)):]
		if separator == ';' {
			for len(one) > 0 && (one[0] == ' ' || one[0] == '\t') {
				one = one[1:]
			}
		}
		if len(one) >= len(name) && string(one[:len(name)]) == name {
			switch {
			case len(one) == len(name):
				return one[:0]
			case one[len(name)] == '=':
				return one[len(name)+1:]
			}
		}
	}
	return nil
}

func appendType(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	if q.Types == nil {
		return dst, origin{}
	}
	value, _ := d.variable(q, name)
	return append(dst, q.Types.TypeOf(value)...), origin{}
}

func appendBase64(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	value, from := d.variable(q, name)
	return base64.StdEncoding.AppendEncode(dst, value), origin{own: from.own}
}

func appendHex(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	value, from := d.variable(q, name)
	for _, c := range value {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst, origin{own: from.own}
}

func appendUpper(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	value, from := d.variable(q, name)
	for _, c := range value {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, from
}

func appendLower(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	value, from := d.variable(q, name)
	for _, c := range value {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, from
}

func appendHTTPTime(dst []byte, seconds string, q *Query, d *Decision) ([]byte, origin) {
	return appendDate(dst, q.now().Add(time.Duration(number([]byte(seconds)))*time.Second)), origin{own: true}
}

// appendDate appends a date as header fields have it.
func appendDate(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, http.TimeFormat)
}

func appendTime(dst []byte, unit string, q *Query, d *Decision) ([]byte, origin) {
	if unit == "micros" {
		return strconv.AppendInt(dst, q.now().UnixMicro(), 10), origin{own: true}
	}
	return strconv.AppendInt(dst, q.now().Unix(), 10), origin{own: true}
}

func appendServerValue(dst []byte, name string, q *Query, d *Decision) ([]byte, origin) {
	switch name {
	case "status":
		return strconv.AppendInt(dst, int64(q.Status), 10), origin{own: true}
	case "rsize":
		return strconv.AppendInt(dst, q.Sent, 10), origin{own: true}
	case "rtime":
		if q.Started.IsZero() {
			return append(dst, '0'), origin{own: true}
		}
		return strconv.AppendInt(dst, q.now().Sub(q.Started).Microseconds(), 10), origin{own: true}
	case "sor":
		started := q.Started
		if started.IsZero() {
			started = q.now()
		}
		return strconv.AppendInt(dst, started.UnixMicro(), 10), origin{own: true}
	}
	return appendUUID(dst), origin{own: true}
}

// appendUUID appends a random UUID (version 4).
func appendUUID(dst []byte) []byte {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	const lower = "0123456789abcdef"
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, lower[b>>4], lower[b&15])
	}
	return dst
}

func (q *Query) now() time.Time {
	if q.Now.IsZero() {
		return time.Now()
	}
	return q.Now
}
