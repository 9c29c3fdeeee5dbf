package router

import (
	"os"
	"strings"
	"testing"
	"time"

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
		{"sni = good.test DIR/good.crt,DIR/good.key,HIGH,!DIR/good.key", "no CA certificate"},
		{"https2 = addr=:443,cert=DIR/over.crt,key=DIR/over.key", "ended on"},
	} {
		key, value, _ := strings.Cut(strings.ReplaceAll(test.line, "DIR", dir), " = ")
		got := CheckCertificates(&link.Configuration{Options: []link.Option{{Key: key, Value: value, File: "f.ini", Line: 3}}}, now)
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
