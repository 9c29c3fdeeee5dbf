package http1

import "testing"

func TestRequestHead(t *testing.T) {
	const in = "POST http://Site.example/a%20b?x HTTP/1.0\r\nAccept: */*\r\nHost: other\r\nConnection: close, x-a\r\nX-A: 1\r\n" +
		"X_B: 2\r\nProxy: 3\r\nTE: trailers\r\nExpect: 100-continue\r\nContent-Length: 3\r\nX-Forwarded-For: 9.9.9.9\r\nX-C:4\r\n\r\n"
	for _, test := range []struct {
		name string
		head RequestHead
		want string
	}{
		{"length", RequestHead{ContentLength: 3},
			"POST /a%20b?x HTTP/1.1\r\nHost: Site.example\r\nAccept: */*\r\nX-Forwarded-For: 9.9.9.9\r\nX-C: 4\r\nContent-Length: 3\r\n\r\n"},
		{"no body", RequestHead{ContentLength: -1, Close: true},
			"POST /a%20b?x HTTP/1.1\r\nHost: Site.example\r\nAccept: */*\r\nX-Forwarded-For: 9.9.9.9\r\nX-C: 4\r\nConnection: close\r\n\r\n"},
		{"chunked, replaced", RequestHead{Chunked: true, Target: []byte("/new"), Skip: KindsOf(XForwardedFor), Extra: []byte("X-Forwarded-For: 1.1.1.1\r\n")},
			"POST /new HTTP/1.1\r\nHost: Site.example\r\nAccept: */*\r\nX-C: 4\r\nX-Forwarded-For: 1.1.1.1\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"upgrade", RequestHead{ContentLength: -1, Upgrade: []byte("websocket"), Skip: KindsOf(XForwardedFor)},
			"POST /a%20b?x HTTP/1.1\r\nHost: Site.example\r\nAccept: */*\r\nX-C: 4\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Request
			if n, err := r.Parse([]byte(in), &Limits{}); n != len(in) {
				t.Fatal(n, err)
			}
			if got := string(test.head.Append([]byte("x"), &r)); got != "x"+test.want {
				t.Errorf("got\n%q, want\n%q", got, "x"+test.want)
			}
		})
	}
}

func TestResponseHead(t *testing.T) {
	const in = "HTTP/1.0 404\r\nServer: s\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nX_B: 2\r\nContent-Length: 3\r\n\r\n"
	for _, test := range []struct {
		name string
		head ResponseHead
		want string
	}{
		{"length", ResponseHead{ContentLength: 3}, "HTTP/1.1 404 Not Found\r\nServer: s\r\nX_B: 2\r\nContent-Length: 3\r\n\r\n"},
		{"close", ResponseHead{ContentLength: -1, Close: true}, "HTTP/1.1 404 Not Found\r\nServer: s\r\nX_B: 2\r\nConnection: close\r\n\r\n"},
		{"chunked", ResponseHead{Chunked: true, KeepAlive: true, Skip: KindsOf(Server), Extra: []byte("Date: d\r\n")},
			"HTTP/1.1 404 Not Found\r\nX_B: 2\r\nDate: d\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"},
		{"upgrade", ResponseHead{ContentLength: -1, Upgrade: []byte("websocket")},
			"HTTP/1.1 404 Not Found\r\nServer: s\r\nX_B: 2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Response
			if n, err := r.Parse([]byte(in), false, &Limits{}); n != len(in) {
				t.Fatal(n, err)
			}
			if got := string(test.head.Append([]byte("x"), &r)); got != "x"+test.want {
				t.Errorf("got\n%q, want\n%q", got, "x"+test.want)
			}
		})
	}
}

func TestAppendStatus(t *testing.T) {
	const typ = "Content-Type: text/plain; charset=utf-8\r\n"
	for _, test := range []struct {
		got, want string
	}{
		{string(AppendStatus(nil, 404, "", false, false, nil)), "HTTP/1.1 404 Not Found\r\n" + typ + "Content-Length: 10\r\n\r\nNot Found\n"},
		{string(AppendStatus(nil, 400, "no", true, true, nil)), "HTTP/1.1 400 Bad Request\r\n" + typ + "Content-Length: 3\r\nConnection: close\r\n\r\n"},
		{string(AppendStatus(nil, 503, "later", false, false, []byte("Retry-After: 5\r\n"))),
			"HTTP/1.1 503 Service Unavailable\r\n" + typ + "Retry-After: 5\r\nContent-Length: 6\r\n\r\nlater\n"},
	} {
		if test.got != test.want {
			t.Errorf("got\n%q, want\n%q", test.got, test.want)
		}
	}
}

func TestValid(t *testing.T) {
	for s, want := range map[string][2]bool{ // as target, as value
		"/a?b=ä": {true, true}, "": {false, true}, "/a b": {false, true}, "/a\r\nX: y": {false, false}, "/a\n": {false, false},
		"/a#b": {false, true}, "a\tb": {false, true}, "/\x00": {false, false}, "/aaaaaaaaaaaaaaaaaaaaaaa\x7f": {false, false},
	} {
		if got := [2]bool{ValidTarget([]byte(s)), ValidValue([]byte(s))}; got != want {
			t.Errorf("%q: target, value %v, want %v", s, got, want)
		}
	}
}

func TestRequestHeadReplacesHost(t *testing.T) {
	var r Request
	if _, err := r.Parse([]byte("GET /a HTTP/1.1\r\nHost: b\r\n\r\n"), &Limits{}); err != nil {
		t.Fatal(err)
	}
	h := RequestHead{Host: []byte("c:81"), ContentLength: -1}
	if got, want := string(h.Append(nil, &r)), "GET /a HTTP/1.1\r\nHost: c:81\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
