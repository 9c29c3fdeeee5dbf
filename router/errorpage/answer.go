package errorpage

import (
	"strconv"

	"emperor/router/http1"
)

// Answer is what is to be said.
type Answer struct {
	Status    int
	Host      []byte // canonical: lower case, without port
	Accept    []byte // the value of the request's Accept field, several joined by ", "
	RequestID []byte
	Text      string // a sentence for people, in lower case and without a full stop; empty: the status's own words
	// RetryAfter is in how many seconds it is worth trying again, 0 if unknown. With
	// Reload the built-in page does that by itself, which is for GET only.
	RetryAfter int
	Reload     bool
}

func (a *Answer) reason() string {
	if words := http1.StatusText(a.Status); words != "" {
		return words
	}
	return "Error"
}

func (a *Answer) text() string {
	if a.Text != "" {
		return a.Text
	}
	return a.reason()
}

// appendJSON appends the answer as an object with the members of RFC 9457.
func appendJSON(dst []byte, a *Answer) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	dst = append(dst, `,"title":"`...)
	dst = appendEscaped(dst, a.reason(), jsonForm)
	dst = append(dst, `","detail":"`...)
	dst = appendEscaped(dst, a.text(), jsonForm)
	dst = append(dst, '"')
	if a.RetryAfter > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after":`...), int64(a.RetryAfter), 10)
	}
	if len(a.RequestID) > 0 {
		dst = append(appendEscaped(append(dst, `,"request_id":"`...), a.RequestID, jsonForm), '"')
	}
	return append(dst, "}\n"...)
}

// The built-in page: it loads nothing, follows the browser's light or dark colours,
// and needs no script.
const (
	pageStart = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
`
	pageStyle = `<style>
:root { color-scheme: light dark }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 32rem; padding: 2rem }
.status { margin: 0; font-size: .875rem; opacity: .7 }
h1 { margin: .25rem 0 1rem; font-size: 1.5rem; line-height: 1.25 }
footer { margin-top: 2rem; font-size: .8125rem; opacity: .7; overflow-wrap: anywhere }
</style>
</head>
<body>
<main>
`
)

// appendHTML appends the built-in page.
func appendHTML(dst []byte, a *Answer) []byte {
	dst = append(dst, pageStart...)
	if a.Reload && a.RetryAfter > 0 {
		dst = append(dst, `<meta http-equiv="refresh" content="`...)
		dst = append(strconv.AppendInt(dst, int64(a.RetryAfter), 10), "\">\n"...)
	}
	dst = append(dst, "<title>"...)
	dst = append(a.appendStatus(dst), "</title>\n"...)
	dst = append(dst, pageStyle...)
	dst = append(dst, `<p class="status">`...)
	dst = append(a.appendStatus(dst), "</p>\n<h1>"...)
	start := len(dst)
	dst = appendEscaped(dst, a.text(), htmlForm)
	if start < len(dst) && dst[start] >= 'a' && dst[start] <= 'z' {
		dst[start] -= 'a' - 'A'
	}
	dst = append(dst, "</h1>\n"...)
	dst = a.appendAdvice(dst)
	dst = append(dst, "<footer>"...)
	dst = appendEscaped(dst, a.Host, htmlForm)
	if len(a.RequestID) > 0 {
		if len(a.Host) > 0 {
			dst = append(dst, " · "...)
		}
		dst = append(dst, "request "...)
		dst = appendEscaped(dst, a.RequestID, htmlForm)
	}
	return append(dst, "</footer>\n</main>\n</body>\n</html>\n"...)
}

func (a *Answer) appendStatus(dst []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(a.Status), 10), ' ')
	return appendEscaped(dst, a.reason(), htmlForm)
}

// appendAdvice says what a visitor can do.
func (a *Answer) appendAdvice(dst []byte) []byte {
	temporary := a.Status >= 500 || a.Status == 429 || a.Status == 408
	switch {
	case temporary && a.RetryAfter > 0 && a.Reload:
		dst = append(dst, "<p>This page tries again by itself "...)
		dst = append(appendDelay(dst, a.RetryAfter), ".</p>\n"...)
	case temporary && a.RetryAfter > 0:
		dst = append(dst, "<p>Please try again "...)
		dst = append(appendDelay(dst, a.RetryAfter), ".</p>\n"...)
	case temporary:
		dst = append(dst, "<p>Please try again in a moment.</p>\n"...)
	case a.Status == 404:
		dst = append(dst, "<p>Please check the address.</p>\n"...)
	}
	return dst
}

// appendDelay appends "in 5 seconds" or "in 2 minutes".
func appendDelay(dst []byte, seconds int) []byte {
	n, unit := seconds, " second"
	switch {
	case seconds >= 2*3600:
		n, unit = (seconds+3599)/3600, " hour"
	case seconds >= 120:
		n, unit = (seconds+59)/60, " minute"
	}
	dst = append(strconv.AppendInt(append(dst, "in "...), int64(n), 10), unit...)
	if n != 1 {
		dst = append(dst, 's')
	}
	return dst
}
