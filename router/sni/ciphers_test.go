package sni

import (
	_ "embed"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata/ciphers.txt
var openSSLCiphers string

// notSecure are the suites that only their name or namingWords choose.
func notSecure(name string) bool {
	return !strings.HasPrefix(name, "ECDHE-") || strings.HasSuffix(name, "AES128-SHA256")
}

// asked holds for each string that asks for suites that are not secure which of
// them it gets.
var asked = map[string]func(name string) bool{
	"HIGH:-AES256:AES256-SHA":            func(n string) bool { return n == "AES256-SHA" },
	"kRSA":                               notSecure,
	"RSA":                                notSecure,
	"RSA+AESGCM":                         notSecure,
	"SHA256":                             notSecure,
	"AES128-SHA":                         notSecure,
	"AES128-SHA:AES256-SHA:DES-CBC3-SHA": notSecure,
	"TLS_AES_128_GCM_SHA256:AES128-SHA":  notSecure,
	"EECDH+ECDSA+AESGCM:EECDH+aRSA+AESGCM:EECDH+ECDSA+SHA256:EECDH+aRSA+SHA256:!RC4": notSecure,
	"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDH+AESGCM:DH+AESGCM:ECDH+AES:DH+AES:RSA+AESGCM:RSA+AES:!aNULL:!MD5:!DSS": func(n string) bool {
		return !strings.HasPrefix(n, "ECDHE-")
	},
}

func TestCipherStringsLeaveWhatOpenSSLLeaves(t *testing.T) {
	known := map[string]bool{}
	for i := range suites {
		known[suites[i].name] = true
	}
	count := 0
	for line := range strings.Lines(openSSLCiphers) {
		text, names, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		count++
		var want []string
		for name := range strings.SplitSeq(names, ":") {
			if known[name] && (!notSecure(name) || asked[text] != nil && asked[text](name)) {
				want = append(want, name)
			}
		}
		c, _, err := ParseCiphers(text)
		if text == "TLS_AES_128_GCM_SHA256" {
			// OpenSSL refuses it as it does not look at suites of TLS 1.3 here; the
			// writer's wish is clear.
			if err != nil || len(c.Names()) != 0 || !c.newest {
				t.Errorf("%s: %v, %v, want TLS 1.3 only", text, c.Names(), err)
			}
			continue
		}
		if len(want) == 0 {
			if err == nil {
				t.Errorf("%s: %v, want an error: nothing is left", text, c.Names())
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v, want %v", text, err, want)
			continue
		}
		got := c.Names()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", text, got, want)
		}
	}
	if count < 40 {
		t.Errorf("%d strings were compared, want 40 at least", count)
	}
}

func TestCipherStringMistakes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"MEDIUM", "known suites: ECDHE-ECDSA-AES256-GCM-SHA384 "},
		{"RC4-SHA:DES-CBC3-SHA", "leaves nothing"},
		{"", "leaves nothing"},
		{"ECDHE-RSA-AES128-GCM-SHA265", "did you mean ECDHE-RSA-AES128-GCM-SHA256?"},
		{"high", "did you mean HIGH?"},
		{"HIGH:!", `"!" in the cipher string "HIGH:!" is followed by nothing`},
		{"HIGH:@SECLEVEL=9", "want a number from 0 to 5"},
		{"HIGH:@STRONG", "want @STRENGTH or @SECLEVEL=N"},
		{"AES256-SHA256", "leaves nothing"},
		{"HIGH:!ALL", "leaves nothing"},
		{"kRSA:@SECLEVEL=3", "leaves nothing"},
	} {
		_, _, err := ParseCiphers(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.text, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		"HIGH:CHACHA2O": `"CHACHA2O" means nothing in a cipher string, did you mean CHACHA20?`,
		"HIGH:DEFAULT":  `DEFAULT counts only at the start of "HIGH:DEFAULT"`,
		"HIGH:!MD5:!RC4:!aNULL:!DHE-RSA-AES256-SHA": "",
	} {
		_, notes, err := ParseCiphers(text)
		if err != nil || strings.Join(notes, "; ") != want {
			t.Errorf("%s: notes %q, error %v, want %q", text, notes, err, want)
		}
	}
}

// What Go calls insecure in a newer version must not be chosen by a word for many.
func TestSecureSuitesAreGosOwn(t *testing.T) {
	for i := range suites {
		if listed := slices.Contains(secureSuites, suites[i].id); listed == (suites[i].has&insecure != 0) {
			t.Errorf("%s: Go calls it secure: %t", suites[i].name, listed)
		}
	}
	high, _, err := ParseCiphers("HIGH:!aNULL")
	if err != nil || !slices.Equal(high.suites(), secureSuites) || !slices.Equal(Ciphers{}.suites(), secureSuites) {
		t.Errorf("HIGH is %v, the default %v, Go's %v (%v)", high.suites(), Ciphers{}.suites(), secureSuites, err)
	}
}

func FuzzParseCiphers(f *testing.F) {
	for line := range strings.Lines(openSSLCiphers) {
		text, _, _ := strings.Cut(line, "\t")
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := ParseCiphers(text)
		if err != nil {
			return
		}
		if len(c.Names()) == 0 && !c.newest {
			t.Errorf("%q: neither suites nor an error", text)
		}
		if again, _, err := ParseCiphers(strings.Join(c.Names(), ":")); len(c.Names()) > 0 && (err != nil || !slices.Equal(again.chosen, c.chosen)) {
			t.Errorf("%q: its names give %v, %v, not the same", text, again.Names(), err)
		}
	})
}
