package sni

import (
	"strings"
	"testing"
)

func TestParseHTTPS(t *testing.T) {
	files := Files{Certificate: "/a.crt", Key: "/a.key"}
	with := func(ciphers, ca string, client ClientAuth) Files {
		f := files
		f.Ciphers, f.ClientCA, f.Client = ciphers, ca, client
		return f
	}
	for value, want := range map[string]HTTPS{
		":443,/a.crt,/a.key":                    {Address: ":443", Files: files, OwnCertificate: true},
		" [::]:443, /a.crt, /a.key ":            {Address: "[::]:443", Files: files, OwnCertificate: true},
		"=0,/a.crt,/a.key,HIGH":                 {Address: "=0", Files: with("HIGH", "", NoClientCert), OwnCertificate: true},
		"fd://3,/a.crt,/a.key,HIGH,/ca.pem":     {Address: "fd://3", Files: with("HIGH", "/ca.pem", RequestClientCert), OwnCertificate: true},
		":443,/a.crt,/a.key,HIGH:!MD5,!/ca.pem": {Address: ":443", Files: with("HIGH:!MD5", "/ca.pem", RequireClientCert), OwnCertificate: true},
		":443,/a.crt,/a.key,,!/ca.pem":          {Address: ":443", Files: with("", "/ca.pem", RequireClientCert), OwnCertificate: true},
		"/run/front.sock,/a.crt,/a.key":         {Address: "/run/front.sock", Files: files, OwnCertificate: true},
		":443":                                  {Address: ":443"},
	} {
		if got, err := ParseHTTPS(value); err != nil || got != want {
			t.Errorf("https = %s:\n got %+v, %v\nwant %+v", value, got, err, want)
		}
	}
	for value, want := range map[string]HTTPS{
		"addr=:443,cert=/a.crt,key=/a.key":                                     {Address: ":443", Files: files, OwnCertificate: true},
		"key=/a.key,crt=/a.crt,addr=:443,spdy=1":                               {Address: ":443", Files: files, OwnCertificate: true, HTTP2: true},
		"addr=:443,cert=/a.crt,key=/a.key,ciphers=HIGH,clientca=/ca.pem":       {Address: ":443", Files: with("HIGH", "/ca.pem", RequestClientCert), OwnCertificate: true},
		"addr=:443, cert=/a.crt, key=/a.key, ciphers=HIGH, client_ca=!/ca.pem": {Address: ":443", Files: with("HIGH", "/ca.pem", RequireClientCert), OwnCertificate: true},
		"addr=:443":                          {Address: ":443"},
		"addr=:443,cert=/a=b.crt,key=/a.key": {Address: ":443", Files: Files{Certificate: "/a=b.crt", Key: "/a.key"}, OwnCertificate: true},
	} {
		if got, err := ParseHTTPS2(value); err != nil || got != want {
			t.Errorf("https2 = %s:\n got %+v, %v\nwant %+v", value, got, err, want)
		}
	}
}

func TestParseSNI(t *testing.T) {
	files := Files{Certificate: "/a.crt", Key: "/a.key"}
	for value, want := range map[string]Named{
		"www.example.com /a.crt,/a.key":   {Name: "www.example.com", Files: files},
		"WWW.Example.com   /a.crt,/a.key": {Name: "www.example.com", Files: files},
		"*.example.com /a.crt,/a.key":     {Name: "*.example.com", Files: files},
		"* /a.crt,/a.key":                 {Name: "*", Files: files},
		"/a.crt,/a.key":                   {Files: files},
		" /a.crt, /a.key":                 {Files: files}, // as the documentation's example has lost its name
		"a.b /my certs/a.crt,/a.key,HIGH,!/staff ca.pem": {Name: "a.b",
			Files: Files{Certificate: "/my certs/a.crt", Key: "/a.key", Ciphers: "HIGH", ClientCA: "/staff ca.pem", Client: RequireClientCert}},
	} {
		if got, err := ParseSNI(value); err != nil || got != want {
			t.Errorf("sni = %s:\n got %+v, %v\nwant %+v", value, got, err, want)
		}
	}
	for value, want := range map[string]Named{
		`^([a-z]+)\.example\.net$ /c/$1.crt,/c/$1.key`: {Pattern: `^([a-z]+)\.example\.net$`, Files: Files{Certificate: "/c/$1.crt", Key: "/c/$1.key"}},
		`^a{1,3}\.example\.net$ /a.crt,/a.key`:         {Pattern: `^a{1,3}\.example\.net$`, Files: files},
		`\.example\.net /a.crt,/a.key`: {Pattern: `\.example\.net`, Files: files,
			Note: `the regular expression \.example\.net does not end with "$" and matches longer names too, such as those that end with .example.net`},
		`*.unbit.com /a.crt,/a.key`: {Name: "*.unbit.com", Files: files,
			Note: `"*.unbit.com" is no regular expression and read as a wildcard; "sni = *.unbit.com …" says so`},
		`* /a.crt,/a.key`: {Name: "*", Files: files, Note: `"*" is no regular expression and read as a wildcard; "sni = * …" says so`},
	} {
		if got, err := ParseSNIRegexp(value); err != nil || got != want {
			t.Errorf("sni-regexp = %s:\n got %+v, %v\nwant %+v", value, got, err, want)
		}
	}
}

func TestOptionMistakes(t *testing.T) {
	https := func(s string) error { _, err := ParseHTTPS(s); return err }
	https2 := func(s string) error { _, err := ParseHTTPS2(s); return err }
	named := func(s string) error { _, err := ParseSNI(s); return err }
	pattern := func(s string) error { _, err := ParseSNIRegexp(s); return err }
	for _, tt := range []struct {
		parse       func(string) error
		value, want string
	}{
		{https, "", "the address is missing; want ADDRESS,CERTIFICATE,KEY[,CIPHERS[,[!]CLIENT-CA]]"},
		{https, "443,/a.crt,/a.key", `"443" is no address, for a port write ":443"; want ADDRESS,`},
		{https, ":443,/a.crt", "the key is missing; want ADDRESS,"},
		{https, ":443,,/a.key", "the certificate is missing; want"},
		{https, ":443,/a.crt,/a.key,HIGH,", "the file of client CAs is empty: without one nobody would be asked for a certificate; name it, or leave its comma out; want"},
		{https, ":443,/a.crt,/a.key,HIGH,!", "the file of client CAs is empty"},
		{https, ":443,/a.crt,/a.key,HIGH,/ca.pem,x", `there is "x" behind the client CA; want ADDRESS`},
		{https2, "addr=:443,cert=/a.crt,key=/a.key,clientca=", "clientca is empty; want addr=ADDRESS,"},
		{https2, "addr=:443,cert=/a.crt,key=/a.key,clientca=!", "the file of client CAs is empty"},
		{https2, "addr=:443,cert=/a.crt", "there is only one of them; want"},
		{https2, "cert=/a.crt,key=/a.key", "the address is missing"},
		{https2, "addr=:443,cret=/a.crt,key=/a.key", `unknown key "cret", did you mean "cert"?`},
		{https2, "addr=:443,certificates=/a.crt", `unknown key "certificates"; want addr=`},
		{https2, "addr=:443,addr=:444", "addr is there twice"},
		{https2, "addr=:443,/a.crt", `"/a.crt" is not KEY=VALUE`},
		{https2, "addr=:443,clientca=/ca.pem", "ciphers and clientca go with cert and key"},
		{named, "unbit.crt,unbit.key,HIGH,", "the file of client CAs is empty"},
		{named, "", "the certificate is missing; want NAME CERTIFICATE,KEY"},
		{named, "www.example.com", "the key is missing; want NAME"},
		{named, "www..com /a.crt,/a.key", `"www..com" is no host name: a part between dots is empty`},
		{named, "192.0.2.1 /a.crt,/a.key", "it is an IP address"},
		{named, "www.*.com /a.crt,/a.key", "want one such as www.example.com or *.example.com"},
		{pattern, "* unbit.crt,unbit.key,HIGH,", "the file of client CAs is empty"},
		{pattern, "/a.crt,/a.key", "there is no regular expression before the files; want REGEXP"},
		{pattern, "a( /a.crt,/a.key", "a( is no regular expression: missing closing )"},
		{pattern, "(?=a) /a.crt,/a.key", "(?=a) is no regular expression: invalid or unsupported Perl syntax: `(?=`"},
	} {
		if err := tt.parse(tt.value); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.value, err, tt.want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	for _, s := range []string{":443,/a.crt,/a.key,HIGH,!/ca.pem", "addr=:443,cert=a,key=b,clientca=!c", "*.example.com /a.crt,/a.key", `^(a)\.b$ /$1.crt,/$1.key,,!/$1.ca`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		check := func(f Files, err error) {
			if err == nil && f.Certificate != "" && (f.Key == "" || (f.Client == NoClientCert) != (f.ClientCA == "")) {
				t.Errorf("%q became %+v", value, f)
			}
		}
		h, err := ParseHTTPS(value)
		check(h.Files, err)
		h, err = ParseHTTPS2(value)
		check(h.Files, err)
		n, err := ParseSNI(value)
		check(n.Files, err)
		n, err = ParseSNIRegexp(value)
		check(n.Files, err)
		if err == nil {
			// What is read makes a table or is refused, and never anything else.
			policy, _, err := n.Policy(Policy{})
			if err != nil {
				return
			}
			e := Entry{Names: []string{n.Name}, Pattern: n.Pattern, Source: n.Source(), Policy: policy}
			table, problems := Compile(Config{Entries: []Entry{e}})
			if (table.Len() == 0) != (len(problems) > 0) {
				t.Errorf("%q: %d names, problems %v", value, table.Len(), problems)
			}
			table.Find("a.b")
		}
	})
}
