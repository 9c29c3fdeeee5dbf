package router

import (
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"emperor/internal/link"
)

// mirrors are vassals of every kind that answer with what they got, and what a front
// before them is told, which is nearly everything.
type mirrors struct {
	vassals []link.Vassal
	options []string
}

func newMirrors(t *testing.T) *mirrors {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "404.html"), "<h1>%(host): %(status) %(rid)</h1>"+strings.Repeat("<p>not here</p>", 100))
	write(t, filepath.Join(dir, "page.html"), strings.Repeat("<p>a page</p>", 3000))
	write(t, filepath.Join(dir, "users"), "joe:{SHA}C+7Hteo/D9vJXQ3UfzxbwnXaijM=\n")
	m := &mirrors{}
	for protocol, start := range map[string]func(*testing.T, func(*call)) *vassal{"uwsgi": uwsgiVassal, "http": httpVassal, "fastcgi": fastcgiVassal, "scgi": scgiVassal} {
		m.vassals = append(m.vassals, row(protocol, 1, link.Ready, start(t, mirror(protocol))))
	}
	direct, spare := httpVassal(t, mirror("http")), httpVassal(t, mirror("http"))
	ca := newAuthority(t)
	secure := secureVassal(t, mirror("http"), ca.issue(time.Hour, "secure", "127.0.0.1"))
	m.options = []string{
		"http-request-id = true", "add-header = X-Front: 1", "rem-header = X-Secret",
		"http-compress = zstd,gzip", "http-auto-gzip = true", "http-limit-rate = 1000000/s", "http-limit-vassal = 50",
		"error-page = 404 " + filepath.Join(dir, "404.html"), "maintenance = shut retry-after=7 allow=192.0.2.9", "http-health = /_up",
		"http-body-limit = 300k", "http-manage-expect = 1", "http-balance = iphash", "http-chunked-input = true",
		"http-var = FROM=main", "http-var = WHO=${REMOTE_USER} ${HTTP_X_WANT}",
		"route-if = equal:${HTTP_X_WANT};var addvar:SEEN=${PATH_INFO}",
		"route-if = equal:${HTTP_X_WANT};note logvar:NOTED=${REQUEST_METHOD} ${PATH_INFO}",
		"route-if = equal:${HTTP_X_WANT};quiet donotlog:",
		"route-if = equal:${HTTP_X_WANT};header addheader:X-Asked: ${REQUEST_URI}",
		"route-if = equal:${HTTP_X_WANT};head setmethod:HEAD",
		"route-if = equal:${HTTP_X_WANT};path setpathinfo:/200/changed",
		"route-if = equal:${HTTP_X_WANT};uri seturi:/200/changed?a=b",
		"route-if = equal:${HTTP_X_WANT};user setuser:somebody",
		"route-if = equal:${HTTP_X_WANT};gzip gzip:",
		"route-if = equal:${HTTP_X_WANT};close addheader:Connection: close",
		"route-if = equal:${HTTP_X_WANT};root setdocroot:/srv/other",
		"route-if = equal:${HTTP_X_WANT};rewrite rewrite:/200/rewritten?q=1",
		"route-host = ^auth$ basicauth:here," + filepath.Join(dir, "users"),
		"route-host = ^auth$ vassal:uwsgi",
		"route-host = ^(uwsgi|http|fastcgi|scgi)$ vassal:$1",
		"http-ca = " + ca.file,
		"route-host = ^secure$ https:" + secure.address,
		"route-host = ^named$ http:" + direct.address + ",other.example",
		"route-host = ^several$ http:" + direct.address + "|" + spare.address,
		"route-host = ^dead$ uwsgi:/nowhere.sock,0,0",
		"route-host = ^redirect$ redirect:https://x${REQUEST_URI}",
		"route-host = ^say$ return:418 a teapot",
		"route-host = ^break$ break:403 go away",
		"route-host = ^gone$ break:",
		"route-host = ^static$ static:" + filepath.Join(dir, "page.html"),
		"route-host = ^file$ file:filename=" + filepath.Join(dir, "page.html") + ",status=203",
		"route-host = ^nobody$ vassal:nobody",
		"error-route-status = 410 return:404",
		"error-route-status = 417 file:filename=" + filepath.Join(dir, "page.html") + ",status=417",
		"response-route = ^/reset clearheaders:299 fine",
		"response-route = ^/empty clearheaders:204",
		"response-route = ^/moved redirect:/there",
		"response-route-if = equal:${HTTP_X_WANT};after addheader:X-After: ${uwsgi[status]}",
		"final-route-if = equal:${HTTP_X_WANT};final logvar:NOTED=final ${uwsgi[status]}",
	}
	return m
}

// front starts one.
func (m *mirrors) front(t *testing.T, more ...string) *front {
	t.Helper()
	f := newFront(t, append(more, m.options...)...)
	f.vassals(m.vassals...)
	return f
}

// mirror is a vassal that answers with what it got, in the way that the path says.
func mirror(protocol string) func(*call) {
	return func(c *call) {
		path := c.vars["PATH_INFO"]
		if protocol == "http" {
			_, path, _ = strings.Cut(c.head, " ")
			path, _, _ = strings.Cut(path, " ")
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if kind == "early" {
			c.hangUp = true
		} else if protocol == "uwsgi" && c.vars["HTTP_TRANSFER_ENCODING"] == "chunked" {
			c.chunked = true
			c.readBody()
		} else if protocol == "uwsgi" || protocol == "http" {
			c.readBody()
		}
		var told strings.Builder
		told.WriteString(c.head)
		for _, name := range slices.Sorted(slices.Values(c.names)) {
			if c.head == "" {
				fmt.Fprintf(&told, "%s=%s\n", name, c.vars[name])
			}
		}
		fmt.Fprintf(&told, "%d %08x %v\n", len(c.body), crc32.ChecksumIEEE(c.body), c.err)
		text := told.String()
		// What a request does not say exactly the same twice must not change a length.
		text = changing.ReplaceAllString(text, "*")
		if kind == "large" {
			text = strings.Repeat(text, 1+100_000/len(text))
		}
		status, fields, length := "200 OK", "Content-Type: text/plain\r\nX-Secret: 1\r\n", true
		switch kind {
		case "404", "410", "417", "500", "503":
			status = kind + " Bad"
		case "204", "304":
			status, text = kind+" Nothing", ""
		case "chunks", "close", "early":
			length = false
		case "etag":
			fields += "ETag: \"abc\"\r\nVary: Cookie\r\nAccept-Ranges: bytes\r\n"
		case "demand":
			fields += "uWSGI-Encoding: gzip\r\n"
		case "hop":
			fields += "Connection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nTrailer: X\r\n"
			c.hangUp = true
		case "encoded":
			fields += "Content-Encoding: br\r\n"
		case "none":
			c.hangUp = true
			return
		case "torn":
			c.say("HTTP/1.1 200 OK\r\nX-Torn: ye")
			c.hangUp = true
			return
		}
		answer := "HTTP/1.1 " + status + "\r\n" + fields
		if protocol == "fastcgi" || protocol == "scgi" {
			answer = "Status: " + status + "\r\n" + fields
		}
		bare := kind == "204" || kind == "304" || c.vars["REQUEST_METHOD"] == "HEAD" || strings.HasPrefix(c.head, "HEAD ")
		switch {
		case kind == "204" || kind == "304":
		case length:
			answer += "Content-Length: " + itoa(len(text)) + "\r\n"
		case kind == "chunks" && (protocol == "http" || protocol == "uwsgi"):
			answer += "Transfer-Encoding: chunked\r\n"
			text = fmt.Sprintf("5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", text[:5], len(text)-5, text[5:])
		default:
			answer += "Connection: close\r\n"
			c.hangUp = true
		}
		if answer += "\r\n"; !bare {
			answer += text
		}
		if kind == "short" {
			answer = answer[:len(answer)-3]
			c.hangUp = true
		}
		if kind == "hint" && protocol != "fastcgi" && protocol != "scgi" {
			c.say("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
		}
		if protocol != "fastcgi" {
			c.say(answer)
			return
		}
		for len(answer) > 0 {
			n := min(len(answer), 30000)
			c.say(record(fcgiStdout, answer[:n]))
			answer = answer[n:]
		}
		c.say(ended(0))
	}
}
