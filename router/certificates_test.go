package router

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/internal/resource"
	"emperor/internal/testcert"
)

// pairUntil is a certificate in PEM that ends then.
func pairUntil(t testing.TB, end time.Time, names ...string) (certificate, key string) {
	t.Helper()
	p := testcert.SelfSigned(t, testcert.Wanted{Names: names, From: end.Add(-400 * 24 * time.Hour), To: end})
	return p.Certificate, p.Key
}

// TestCheckCertificates: what check says of the pairs that a file names.
func TestCheckCertificates(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	put := func(name string, end time.Time, names ...string) {
		certificate, key := pairUntil(t, end, names...)
		write(t, dir+"/"+name+".crt", certificate)
		write(t, dir+"/"+name+".key", key)
	}
	put("good", now.Add(90*24*time.Hour), "good.test", "*.good.test")
	put("soon", now.Add(5*24*time.Hour+time.Hour), "soon.test")
	put("over", now.Add(-time.Hour), "over.test")
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ line, want string }{
		{"https = :443,DIR/good.crt,DIR/good.key", ""},
		{"sni = good.test DIR/good.crt,DIR/good.key", ""},
		{"sni = a.good.test DIR/good.crt,DIR/good.key", ""},
		{"sni = DIR/good.crt,DIR/good.key", ""},
		{"sni = other.test DIR/good.crt,DIR/good.key", "f.ini:3: sni: DIR/good.crt is for good.test *.good.test, not for other.test"},
		{"sni = soon.test DIR/soon.crt,DIR/soon.key", "in 5 days"},
		{"sni = over.test DIR/over.crt,DIR/over.key", "ended on"},
		{"sni = good.test DIR/good.crt,DIR/soon.key", "f.ini:3: sni: DIR/good.crt: "},
		{"sni = good.test DIR/good.crt,DIR/none.key", "f.ini:3: sni: DIR/none.key: no such file"},
		{"sni = good.test DIR/good.crt,DIR/pipe", "f.ini:3: sni: DIR/pipe: want a regular file"}, // nobody writes to it
		{"sni = good.test DIR,DIR/good.key", "f.ini:3: sni: DIR: want a regular file"},
		{"sni = good.test DIR/good.crt,DIR/good.key,HIGH,!DIR/good.key", "no CA certificate"},
		{"https2 = addr=:443,cert=DIR/over.crt,key=DIR/over.key", "ended on"},
	} {
		key, value, _ := strings.Cut(strings.ReplaceAll(test.line, "DIR", dir), " = ")
		listener := link.Option{Key: "https", Value: ":444", File: "f.ini", Line: 2}
		if strings.HasPrefix(key, "https") {
			listener = link.Option{Key: "http-log-format", Value: "json"} // it is one itself
		}
		got := CheckCertificates(&link.Configuration{Options: []link.Option{listener, {Key: key, Value: value, File: "f.ini", Line: 3}}}, now)
		want := strings.ReplaceAll(test.want, "DIR", dir)
		switch {
		case want == "" && len(got) > 0:
			t.Errorf("%s: %v", test.line, got)
		case want != "" && (len(got) != 1 || !strings.Contains(got[0].Error(), want)):
			t.Errorf("%s: got %v, want %q", test.line, got, want)
		}
	}
}

// TestCheckFolderOfCertificates: what check says of the pairs of an sni-dir, and of an
// sni without a name.
func TestCheckFolderOfCertificates(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if err := os.Mkdir(dir+"/names", 0o700); err != nil {
		t.Fatal(err)
	}
	far := now.Add(90 * 24 * time.Hour)
	pairFiles(t, dir+"/names", "good.test", far, "good.test")
	pairFiles(t, dir+"/names", "_wildcard_.wild.test", far, "*.wild.test")
	pairFiles(t, dir+"/names", "soon.test", now.Add(20*24*time.Hour+time.Hour), "soon.test")
	pairFiles(t, dir+"/names", "other.test", far, "good.test")
	pairFiles(t, dir+"/names", "broken.test", far, "broken.test")
	write(t, dir+"/names/broken.test.key", "no key")
	write(t, dir+"/names/half.test.crt", "")
	pairFiles(t, dir+"/names", "ca.test", far, "ca.test")
	write(t, dir+"/names/ca.test.ca", "no CA")
	write(t, dir+"/nameless.crt", "no certificate")
	c := &link.Configuration{Options: []link.Option{
		{Key: "sni-dir", Value: dir + "/names", File: "f.ini", Line: 2},
		{Key: "https", Value: ":443", File: "f.ini", Line: 1},
		{Key: "sni", Value: dir + "/nameless.crt," + dir + "/nameless.key", File: "f.ini", Line: 3},
	}}
	wanted := &supply{checking: true}
	compile(mustOptions(t, c.Options), wanted)
	c.Resources = wanted.wanted
	for i := range c.Resources {
		if err := resource.Load(&c.Resources[i]); err != nil {
			t.Fatal(err)
		}
	}
	if problems := CheckConfiguration(c); problems.Err() != nil {
		t.Errorf("the front would not start: %v", problems)
	}
	said := strings.ReplaceAll(CheckCertificates(c, now).String(), dir, "DIR")
	for _, want := range []string{
		"f.ini:2: warning: sni-dir: half.test.crt: there is no half.test.key beside it",
		"f.ini:2: warning: sni-dir: DIR/names/soon.test.crt ends on ",
		"f.ini:2: warning: sni-dir: DIR/names/other.test.crt is for good.test, not for other.test",
		"f.ini:2: sni-dir: DIR/names/broken.test.crt: ",
		"f.ini:2: sni-dir: DIR/names/ca.test.ca: no CA certificate",
		"f.ini:3: sni: DIR/nameless.key: no such file",
	} {
		if strings.Count(said, want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, said)
		}
	}
	if n := strings.Count(said, "\n"); n != 6 {
		t.Errorf("%d lines:\n%s", n, said)
	}
}

// TestListCertificates: of each pair when it ends, or why nobody is shown it, whether
// that is the certificate's fault, the key's or the client CAs'.
func TestListCertificates(t *testing.T) {
	dir, end := t.TempDir(), time.Now().Add(90*24*time.Hour).Truncate(time.Second)
	pairFiles(t, dir, "good", end, "good.test", "www.good.test")
	pairFiles(t, dir, "other", end.Add(time.Hour), "other.test")
	if err := os.Mkdir(dir+"/names", 0o700); err != nil {
		t.Fatal(err)
	}
	pairFiles(t, dir+"/names", "in.test", end, "in.test")
	pairFiles(t, dir+"/names", "bad.test", end, "bad.test")
	write(t, dir+"/names/bad.test.key", "no key")
	c := configurationOf(strings.Split(strings.ReplaceAll(`https = :443,DIR/good.crt,DIR/good.key
sni = a.test DIR/good.crt,DIR/other.key
sni = DIR/good.key,DIR/good.crt
sni = ca.test DIR/good.crt,DIR/good.key,HIGH,!DIR/none.pem
sni = gone.test DIR/gone.crt,DIR/gone.key
sni-dir = DIR/names`, "DIR", dir), "\n")...)
	wanted := &supply{checking: true}
	compile(mustOptions(t, c.Options), wanted)
	c.Resources = wanted.wanted
	for i := range c.Resources {
		if err := resource.Load(&c.Resources[i]); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, one := range ListCertificates(c) {
		days := 0
		if !one.Expires.IsZero() {
			days = int(one.Expires.Sub(end)/time.Hour) + 90
		}
		got = append(got, fmt.Sprintf("%s: %s %s %d %s", one.At, one.Name, strings.TrimPrefix(one.File, dir+"/"), days, one.Trouble))
	}
	want := []string{
		"f.ini:1: good.test www.good.test good.crt 90 ",
		"f.ini:2: a.test good.crt 90 DIR/good.crt: the key does not belong to the certificate",
		"f.ini:3: good.test www.good.test good.key 90 ", // each may be in either file
		"f.ini:4: ca.test good.crt 90 DIR/none.pem: no such file",
		"f.ini:5: gone.test gone.crt 0 DIR/gone.crt: no such file",
		"f.ini:6: bad.test names/bad.test.crt 90 DIR/names/bad.test.crt: key: there is none",
		"f.ini:6: in.test names/in.test.crt 90 ",
	}
	for i, w := range want {
		if i >= len(got) || !strings.HasPrefix(strings.ReplaceAll(got[i], dir, "DIR"), w) || strings.HasSuffix(w, " ") && got[i] != w {
			t.Fatalf("line %d of\n%s\nwant %s", i, strings.Join(got, "\n"), w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
}

// TestNotesAreSaidOnce: what is odd in a folder is said when it is new, and not with
// each edit of something else.
func TestNotesAreSaidOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/half.test.crt", "")
	f := newFront(t)
	for i, more := range []string{"", "https-hsts = max-age=1", "https-hsts = max-age=2"} {
		if i == 2 {
			write(t, dir+"/other.test.crt", "")
		}
		options := []string{"sni-dir = " + dir}
		if more != "" {
			options = append(options, more)
		}
		if err := f.configure(options...); err != nil {
			t.Fatal(err)
		}
	}
	for _, note := range []string{"there is no half.test.key", "there is no other.test.key"} {
		if n := strings.Count(f.log.String(), note); n != 1 {
			t.Errorf("%q is said %d times", note, n)
		}
	}
}

// TestListenersWithoutCertificates: check warns of a listener whose handshakes could only
// fail, and of certificates that nobody is shown.
func TestListenersWithoutCertificates(t *testing.T) {
	const nothing, nobody = "no name has a certificate", "no listener shows certificates: want https = ADDRESS"
	dir := t.TempDir()
	pair := pairFiles(t, dir, "a.test", time.Now().Add(90*24*time.Hour), "a.test")
	for lines, want := range map[string]string{
		"https = :443":                                   "f.ini:1: warning: https: " + nothing,
		"http = :80|https2 = addr=:443":                  "f.ini:2: warning: https2: " + nothing,
		"https = :443," + pair + "|https = :444":         "f.ini:2: warning: https: " + nothing,
		"https = :443," + pair:                           "",
		"https = :443|sni = a.test " + pair:              "",
		"https = :443|sni-regexp = ^x$ " + pair:          "",
		"https = :443|acme = on":                         "",
		"https = :443|http-subscription-sni-dir = /home": "",
		"http = :80|sni = a.test " + pair:                "f.ini:2: warning: sni: " + nobody,
		"sni = a.test " + pair + "|https = 443":          "",
		"http = :80":                                     "",
	} {
		got := CheckCertificates(configurationOf(strings.Split(lines, "|")...), time.Now()).String()
		if want == "" && got != "" || !strings.HasPrefix(got, want) || strings.Count(got, "\n") > 1 {
			t.Errorf("%s: %q, want %q", strings.ReplaceAll(lines, dir, "DIR"), got, want)
		}
	}
}
