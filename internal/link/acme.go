package link

import "time"

// IssuedDirectory is where the certificates that come from an ACME certificate
// authority seem to be, in a PairRequest and in log lines. There is no such folder:
// whoever has them finds them by name.
const IssuedDirectory = "acme:"

// IssuedPath is the path under which a router asks for the certificate of a name.
func IssuedPath(name string) string { return IssuedDirectory + "/" + name }

// Challenge is a proof that an ACME certificate authority comes for: that we are who
// answers for Name. It is one of two kinds.
type Challenge struct {
	Name string `json:"name"` // canonical
	// http-01: Answer is what stands at /.well-known/acme-challenge/Token.
	Token  string `json:"token,omitempty"`
	Answer string `json:"answer,omitempty"`
	// tls-alpn-01: the certificate to be shown, and its key (PKCS #8), both DER. It
	// is good for nothing else.
	Certificate []byte `json:"certificate,omitempty"`
	Key         []byte `json:"key,omitempty"`
}

// The kinds of challenges.
const (
	HTTP01    = "http-01"
	TLSALPN01 = "tls-alpn-01"
)

// Issuance is what the front's options say about certificates that come from an
// ACME certificate authority. nil: none do.
type Issuance struct {
	// Names are the hosts that the options spell and no other certificate is for:
	// theirs are ordered before anybody asks.
	Names []string
	// Allowed tells of any other name whether it may be ordered without Ask's word.
	Allowed func(name string) bool
	// Serve tells where a request for a host would go; false: nowhere.
	Serve func(name string) (Served, bool)

	CA        string // URL of the directory
	Roots     []byte // PEM: by whom the CA's own certificate is vouched for; nil: the system's
	Email     string
	KeyType   string
	Directory string // where certificates, keys and the account are kept; empty: the default
	Ask       string // URL; a name is good if it answers 200 to ?domain=NAME; empty: nobody is asked
	// Challenges are HTTP01 and TLSALPN01, those that can be answered.
	Challenges []string
	// MostOrders is how many orders are sent in seven days.
	MostOrders int
}

// Served is where requests for a host go: one of the two, or neither when the front
// answers by itself.
type Served struct {
	Vassal  string
	Address string // "a|b": any of them
}

// Certificate is one that the front's options name, as it is on disk.
type Certificate struct {
	Name    string // that it is served for; what the option says where there are many
	Option  string // sni, sni-regexp, sni-dir, https
	At      string // FILE:LINE of the option
	File    string
	Expires time.Time // zero where it is not known
	Trouble string    // why it can not be used
}
