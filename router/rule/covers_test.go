package rule

import (
	"regexp"
	"testing"
)

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		earlier, later string
		want           bool
	}{
		{`.*`, `^shop\.example\.com$`, true},
		{``, `.*`, true},
		{`^([-\w]+)\.example\.com$`, `^([-\w]+)\.example\.com$`, true},
		{`^([-\w]+)\.example\.com$`, `^([a-z]+)\.example\.com$`, true},
		{`^([a-z]+)\.example\.com$`, `^([-\w]+)\.example\.com$`, false},
		{`^(.+)\.example\.com$`, `^([-\w]+)\.eu\.example\.com$`, true},
		{`^(.+)\.example\.com$`, `^example\.com$`, false},
		{`\.example\.com$`, `^(.+)\.example\.com$`, true},
		{`example`, `^www\.example\.com$`, true},
		{`^www\.`, `^www\.(a|b)\.com$`, true},
		{`^www\.(a|b)\.com$`, `^www\.(a|b|c)\.com$`, false},
		{`^WWW\.example\.com$`, `^www\.example\.com$`, true},
		{`\bshop\b`, `^my-shop\.com$`, true},
		{`\bshop\b`, `^myshop\.com$`, false},
		{`^[^.]+$`, `^localhost$`, true},
		{`^a{3,5}$`, `^a{4}$`, true},
		{`^a{3,5}$`, `^a{4,6}$`, false},
		{`^(?:.*\.)?example\.com$`, `^(?:www\.)?example\.com$`, true},
		{`(`, `a`, false},
		{`a$`, `a`, false},
		{`^$`, `x^`, true}, // the later one matches nothing at all
	} {
		if got := Covers(test.earlier, test.later); got != test.want {
			t.Errorf("%q covers %q: %t, want %t", test.earlier, test.later, got, test.want)
		}
	}
}

// What Covers promises is compared with package regexp on hosts.
func FuzzCovers(f *testing.F) {
	f.Add(`^(.+)\.example\.com$`, `^([-\w]+)\.eu\.example\.com$`, "a.eu.example.com")
	f.Add(`\bshop\b`, `shop$`, "my-shop")
	f.Add(`^$|^a`, `(a|b)*`, "ab")
	f.Fuzz(func(t *testing.T, earlier, later, host string) {
		for _, c := range host {
			if !regexp.MustCompile(`[a-z0-9._:\[\]-]`).MatchString(string(c)) {
				return
			}
		}
		a, err := regexp.Compile("(?i:" + earlier + ")")
		if err != nil {
			return
		}
		b, err := regexp.Compile("(?i:" + later + ")")
		if err != nil {
			return
		}
		if Covers(earlier, later) && b.MatchString(host) && !a.MatchString(host) {
			t.Errorf("%q is said to cover %q, but %q matches only the later one", earlier, later, host)
		}
	})
}
