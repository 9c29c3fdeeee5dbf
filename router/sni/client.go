package sni

import (
	"crypto/tls"
	"encoding/asn1"
	"encoding/pem"
	"strings"
)

// A Client is who the client of a connection has proved to be. It is made once per
// connection.
type Client struct {
	// DN is the certificate's subject as OpenSSL's X509_NAME_oneline writes it and
	// uWSGI sends it in HTTPS_DN: "/CN=client one/O=Acme".
	DN string
	// Certificate is DER, HTTPS_CLIENT_CERTIFICATE.
	Certificate []byte
	// PEM is HTTPS_CC (https-export-cert).
	PEM string
}

// NewClient returns who the client is; nil if it sent no certificate, or none that
// was verified.
func NewClient(state *tls.ConnectionState) *Client {
	if len(state.PeerCertificates) == 0 || len(state.VerifiedChains) == 0 {
		return nil
	}
	c := state.PeerCertificates[0]
	return &Client{
		DN:          oneLine(c.RawSubject),
		Certificate: c.Raw,
		PEM:         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})),
	}
}

// A Var is one variable for a vassal.
type Var struct {
	Name, Value string
}

// VarOptions say which variables vassals get beside HTTPS.
type VarOptions struct {
	ExportCertificate bool // https-export-cert: HTTPS_CC
	// Details adds HTTPS_PROTOCOL (TLSv1.3), HTTPS_CIPHER (OpenSSL's name) and
	// HTTPS_SNI (the name asked for).
	Details bool
}

// AppendVars appends the variables of a TLS connection in uWSGI's order: HTTPS,
// HTTPS_CLIENT_CERTIFICATE, HTTPS_DN, HTTPS_CC. Client may be nil.
func AppendVars(to []Var, state *tls.ConnectionState, client *Client, o VarOptions) []Var {
	to = append(to, Var{"HTTPS", "on"})
	if client != nil {
		to = append(to, Var{"HTTPS_CLIENT_CERTIFICATE", string(client.Certificate)}, Var{"HTTPS_DN", client.DN})
		if o.ExportCertificate {
			to = append(to, Var{"HTTPS_CC", client.PEM})
		}
	}
	if o.Details {
		to = append(to, Var{"HTTPS_PROTOCOL", ProtocolName(state.Version)}, Var{"HTTPS_CIPHER", CipherName(state.CipherSuite)})
		// Go takes the name from this connection's ClientHello, also when it resumes
		// an older session.
		if name, err := CanonicalName(state.ServerName); err == nil {
			to = append(to, Var{"HTTPS_SNI", name})
		}
	}
	return to
}

// ProtocolName is a TLS version as OpenSSL and nginx write it: "TLSv1.3".
func ProtocolName(version uint16) string {
	if version == tls.VersionTLS10 {
		return "TLSv1"
	}
	return strings.Replace(tls.VersionName(version), "TLS ", "TLSv", 1)
}

// shortNames are OpenSSL's for the parts of a subject.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C",
	"2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street", "2.5.4.10": "O",
	"2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.18": "postOfficeBox",
	"2.5.4.20": "telephoneNumber", "2.5.4.41": "name", "2.5.4.42": "GN",
	"2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.45": "x500UniqueIdentifier",
	"2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier",
	"1.2.840.113549.1.9.1": "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName",
	"1.2.840.113549.1.9.8":       "unstructuredAddress",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.3.6.1.4.1.311.60.2.1.1":   "jurisdictionL",
	"1.3.6.1.4.1.311.60.2.1.2":   "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3":   "jurisdictionC",
}

// attribute is one part of a name. Its value is kept raw: OpenSSL writes the bytes
// of whatever kind of string it is.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// oneLine writes a name as X509_NAME_oneline does: in the certificate's order, bytes
// outside printable ASCII as \xHH, "/" before each part, or "+" before one that
// belongs to the part before it, and "\" before either in a value.
func oneLine(raw []byte) string {
	var name []asn1.RawValue
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for _, set := range name {
		separator := "/"
		for rest := set.Bytes; len(rest) > 0; separator = "+" {
			var a attribute
			var err error
			if rest, err = asn1.Unmarshal(rest, &a); err != nil {
				return b.String()
			}
			id := a.Type.String()
			if short, ok := shortNames[id]; ok {
				id = short
			}
			b.WriteString(separator + id + "=")
			for _, c := range a.Value.Bytes {
				if c < ' ' || c > '~' {
					const hex = "0123456789ABCDEF"
					b.WriteString(`\x` + string(hex[c>>4]) + string(hex[c&15]))
					continue
				}
				if c == '/' || c == '+' {
					b.WriteByte('\\')
				}
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}
