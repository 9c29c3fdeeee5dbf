package sni

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"testing"
)

// What OpenSSL 3.0's X509_NAME_oneline makes of these names.
var oneLineTests = []struct{ name, der, want string }{
	{"plain", "30243113301106035504030c0a636c69656e74206f6e65310d300b060355040a0c0441636d65", "/CN=client one/O=Acme"},
	{"UTF-8", "308189310b3009060355040613024445310f300d06035504080c0642617965726e3111300f06035504070c084dc3bc6e6368656e31193017060355040a0c104dc3bc6c6c6572202f2053c3b6686e65310b3009060355040b0c0249543110300e06035504030c074ac3bc7267656e311c301a06092a864886f70d010901160d6a406578616d706c652e636f6d",
		`/C=DE/ST=Bayern/L=M\xC3\xBCnchen/O=M\xC3\xBCller \/ S\xC3\xB6hne/OU=IT/CN=J\xC3\xBCrgen/emailAddress=j@example.com`},
	{"two in one", "307f31133011060a0992268993f22c6401191603636f6d31173015060a0992268993f22c64011916076578616d706c65311b300806035504030c0161300f060a0992268993f22c6401010c0137310b3009060355040513023432310b3009060355042a0c024a6f310b300906035504040c02446f310b3009060355040c0c024472",
		"/DC=com/DC=example/CN=a+UID=7/serialNumber=42/GN=Jo/SN=Do/title=Dr"},
	{"punctuation", "30133111300f06035504030c08612c625c6322647e", `/CN=a,b\c"d~`},
	{"UTF-16", "302a3115301306035504031e0c005a0061017c00f3014201073111300f060355040a1e0800410063006d0065", `/CN=\x00Z\x00a\x01|\x00\xF3\x01B\x01\x07/O=\x00A\x00c\x00m\x00e`},
	{"empty", "3000", ""},
	{"a name that would be two", "30223114301206035504030c0b612f4f3d41646d696e2b62310a3008060355040a0c0178", `/CN=a\/O=Admin\+b/O=x`},
}

func TestSubjectIsWrittenAsOpenSSLDoes(t *testing.T) {
	for _, tt := range oneLineTests {
		der, err := hex.DecodeString(tt.der)
		if err != nil {
			t.Fatal(err)
		}
		if got := oneLine(der); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	for _, tt := range oneLineTests {
		der, _ := hex.DecodeString(tt.der)
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, c := range []byte(oneLine(der)) {
			if c < ' ' || c > '~' {
				t.Errorf("byte %#x in the subject", c)
			}
		}
	})
}

func TestVars(t *testing.T) {
	ca := newAuthority(t, "clients")
	certificate, _ := ca.issue(t, "client one")
	block, _ := pem.Decode(certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	state := tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "A.example.com"}
	on := Var{"HTTPS", "on"}
	details := []Var{{"HTTPS_PROTOCOL", "TLSv1.3"}, {"HTTPS_CIPHER", "TLS_AES_128_GCM_SHA256"}, {"HTTPS_SNI", "a.example.com"}}
	check := func(what string, o VarOptions, want ...Var) {
		t.Helper()
		if got := AppendVars(nil, &state, NewClient(&state), o); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", what, got, want)
		}
	}
	check("without a client certificate", VarOptions{ExportCertificate: true}, on)
	check("with details", VarOptions{Details: true}, append([]Var{on}, details...)...)
	state.PeerCertificates = []*x509.Certificate{leaf}
	check("with one that nobody verified", VarOptions{ExportCertificate: true}, on)
	state.VerifiedChains = [][]*x509.Certificate{{leaf}}
	of := []Var{on, {"HTTPS_CLIENT_CERTIFICATE", string(leaf.Raw)}, {"HTTPS_DN", "/CN=client one"}}
	check("with a verified one", VarOptions{}, of...)
	check("exported", VarOptions{ExportCertificate: true}, append(of, Var{"HTTPS_CC", string(certificate)})...)
	state.Version, state.CipherSuite, state.ServerName = tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "../x"
	check("TLS 1.2 and no host name", VarOptions{Details: true}, append(of, Var{"HTTPS_PROTOCOL", "TLSv1.2"}, Var{"HTTPS_CIPHER", "ECDHE-RSA-AES128-GCM-SHA256"})...)
}
