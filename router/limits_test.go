package router

import (
	"fmt"
	"testing"
)

// TestRateIsTheVisitors: a visitor does not get a new allowance by asking for
// another host, where the limit is for visitors.
func TestRateIsTheVisitors(t *testing.T) {
	v := uwsgiVassal(t, answering(okResponse))
	f := newFront(t, "http-to = "+v.address, "http-limit-rate = 1/h burst=3", "http-limit-rate = ^h 1/h burst=7 by=host")
	count := func(address, host string) (ok int) {
		for i := range 10 {
			name := host
			if host == "" {
				name = fmt.Sprintf("host%d", i)
			}
			if f.ask("GET / HTTP/1.1\r\nHost: "+name+"\r\nX-Forwarded-For: "+address+"\r\n\r\n").StatusCode == 200 {
				ok++
			}
		}
		return ok
	}
	if ok := count("192.0.2.1", ""); ok != 3 {
		t.Errorf("ten hosts: %d answered, want 3", ok)
	}
	for i, want := range []int{3, 3, 1, 0} {
		if ok := count(fmt.Sprintf("192.0.2.1%d", i), "hot"); ok != want {
			t.Errorf("the host's limit, visitor %d: %d answered, want %d", i, ok, want)
		}
	}
}

// TestStrangersWordsInRules: what a peer that we do not trust says of the way its
// request has come is for rules what it is for vassals.
func TestStrangersWordsInRules(t *testing.T) {
	for _, test := range []struct{ trusted, want string }{
		{"127.0.0.1", "1.2.3.4 https evil 443 5.6.7.8 other"},
		{"none", "127.0.0.1 http"},
	} {
		f := newFront(t, "http-trusted-proxies = "+test.trusted,
			"route-run = addheader:X-Seen: ${HTTP_X_FORWARDED_FOR} ${HTTP_X_FORWARDED_PROTO} ${HTTP_X_FORWARDED_HOST} ${HTTP_X_FORWARDED_PORT} ${HTTP_FORWARDED} ${HTTP_X_FORWARDED_OTHER}",
			"route-run = return:200")
		r := f.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 443\r\nForwarded: 5.6.7.8\r\nX-Forwarded-Other: other\r\n\r\n")
		if got := r.Header.Get("X-Seen"); got != test.want {
			t.Errorf("trusted %s: %q, want %q", test.trusted, got, test.want)
		}
	}
}
