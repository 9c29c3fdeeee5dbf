package router

import (
	"strings"
	"testing"
	"time"

	"emperor/router/sni"
)

// pairFiles puts a pair into dir and returns it as options name it.
func pairFiles(t *testing.T, dir, name string, end time.Time, names ...string) string {
	t.Helper()
	certificate, key := pairUntil(t, end, names...)
	write(t, dir+"/"+name+".crt", certificate)
	write(t, dir+"/"+name+".key", key)
	return dir + "/" + name + ".crt," + dir + "/" + name + ".key"
}

// TestNamedPairsAreLoadedAtOnce: what is wrong with a pair that a line names, and
// that it ends soon, is in the log before somebody connects, and in the figures.
func TestNamedPairsAreLoadedAtOnce(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	f := newFront(t)
	f.option = optionHTTPS
	own := pairFiles(t, dir, "own", now.Add(6*24*time.Hour+time.Hour), "own.test")
	good := pairFiles(t, dir, "good", now.Add(90*24*time.Hour), "good.test")
	over := pairFiles(t, dir, "over", now.Add(-time.Hour), "over.test")
	write(t, dir+"/broken.key", "no key")
	if err := f.configure("https = "+f.tcp.Addr().String()+","+own, "sni = good.test "+good, "sni = over.test "+over,
		"sni = broken.test "+dir+"/good.crt,"+dir+"/broken.key"); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{
		{"a certificate ends soon", "own.test", dir + "/own.crt", "days=6", "level=WARN"},
		{"a certificate has ended", "over.test", "level=ERROR"},
		{"a certificate cannot be loaded", dir + "/good.crt", dir + "/broken.key", "broken.test"},
	} {
		eventually(t, strings.Join(words, " "), func() bool {
			for line := range strings.Lines(f.log.String()) {
				found := true
				for _, word := range words {
					found = found && strings.Contains(line, word)
				}
				if found {
					return true
				}
			}
			return false
		})
	}
	figures := f.certificateFigures(now)
	soon, _ := figures["expiring"].([]any)
	if figures["loaded"] != 3 || figures["failed_loads"] != uint64(1) || len(soon) != 2 || figure(t, soon, 0, "name") != "over.test" || figure(t, soon, 1, "days") != 6 {
		t.Errorf("figures %v", figures)
	}
	if end, ok := figures["next_expiry"].(int64); !ok || end > now.Unix() {
		t.Errorf("next expiry %v", figures["next_expiry"])
	}
	// A listener's pair that is none any more is not warned of.
	if err := f.configure("https = "+f.tcp.Addr().String()+","+good, "sni = good.test "+good); err != nil {
		t.Fatal(err)
	}
	if soon, _ := f.certificateFigures(now)["expiring"].([]any); len(soon) != 0 {
		t.Errorf("not in the configuration any more: %v", soon)
	}
}

// TestExpiryIsSaidAtEachStep: at 21, 7 and 1 days and at the end, once each; a
// renewed certificate starts anew.
func TestExpiryIsSaidAtEachStep(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	f := newFront(t)
	f.option = optionHTTPS
	end := now.Add(30 * 24 * time.Hour)
	own := pairFiles(t, dir, "own", end, "own.test")
	if err := f.configure("https = " + f.tcp.Addr().String() + "," + own); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pair is loaded", func() bool { return f.certificates.Stats().Loaded == 1 })
	var watch sni.ExpiryWatch
	for _, test := range []struct {
		left time.Duration
		want string
	}{
		{22 * 24 * time.Hour, ""},
		{21 * 24 * time.Hour, "a certificate ends soon"},
		{20 * 24 * time.Hour, ""},
		{7 * 24 * time.Hour, "a certificate ends soon"},
		{6 * 24 * time.Hour, ""},
		{24 * time.Hour, "a certificate ends soon"},
		{time.Hour, ""},
		{-time.Second, "a certificate has ended"},
		{-time.Hour, ""},
	} {
		before := len(f.log.String())
		f.warnOfExpiry(&watch, end.Add(-test.left))
		said := f.log.String()[before:]
		if (test.want == "") != (said == "") || !strings.Contains(said, test.want) {
			t.Errorf("%v before its end: %q, want %q", test.left, said, test.want)
		}
	}
}
