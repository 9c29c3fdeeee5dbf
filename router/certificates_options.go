package router

import (
	"crypto/tls"
	"errors"
	"fmt"

	"emperor/internal/config"
	"emperor/router/sni"
)

const (
	optionHTTPS  = "https"
	optionHTTPS2 = "https2"

	optionMinVersion = "ssl-min-version"
	optionIKnow      = "ssl-i-know"
)

var certificateOptions = []config.Option{
	{Name: optionHTTPS, Aliases: []string{"https-socket"}, Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"ADDRESS,CRT,KEY[,CIPHERS[,[!]CA]]\": listen for HTTPS; the pair is for names that no sni has. With a CA clients are asked for a certificate, with !CA they need one. An address alone serves the names of sni, sni-regexp and sni-dir only. In the main file https-socket means the same."},
	{Name: optionHTTPS2, Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"addr=,cert=,key=[,ciphers=][,clientca=][,spdy=1]\": the same with names; spdy=1 asks for what became of SPDY, HTTP/2 (also where https-http2 = false)."},
	{Name: "sni", Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"[NAME ]CRT,KEY[,CIPHERS[,[!]CA]]\": the pair for NAME or *.NAME; without a name, for the names of the certificate."},
	{Name: "sni-regexp", Type: config.String, Repeat: true, Where: config.Main,
		Help: "\"REGEX CRT,KEY[,CIPHERS[,[!]CA]]\": the pair for names that match; $1 in the paths is the first group and never leaves its directory."},
	{Name: "sni-dir", Type: config.Path, Repeat: true, Where: config.Main,
		Help: "A folder of NAME.crt and NAME.key (NAME.ca for clients), NAME.pem, or NAME/fullchain.pem and NAME/privkey.pem; _wildcard_.example.com is *.example.com."},
	{Name: "sni-dir-ciphers", Type: config.String, Where: config.Main,
		Help: "Ciphers, in OpenSSL's words, for the names of sni-dir."},
	{Name: "sni-dir-require-client", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Names of sni-dir with a NAME.ca need a client certificate instead of asking for one."},
	{Name: "sni-cache", Type: config.Int, Min: 16, Default: "10000", Where: config.Main,
		Help: "How many pairs stay loaded; others are read again when somebody asks for them."},
	{Name: "https-session-context", Type: config.String, Where: config.Main,
		Help: "Keeps TLS sessions of the https lines that follow apart from others'."},
	{Name: "https-export-cert", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Send a client's certificate to vassals as HTTPS_CC."},
	{Name: "https-export-tls", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Send HTTPS_PROTOCOL, HTTPS_CIPHER and HTTPS_SNI to vassals."},
	{Name: "https-http2", Type: config.Bool, Default: "true", Where: config.Main,
		Help: "Offer HTTP/2 on https listeners."},
	{Name: "https-hsts", Type: config.String, Where: config.Main,
		Help: "Value of Strict-Transport-Security for every response over https that has none of its own, such as \"max-age=31536000; includeSubDomains\"."},
	{Name: "ssl-verify-depth", Type: config.Int, Max: 100, Default: "1", Where: config.Main,
		Help: "How many certificates may stand between a client's and its CA. As all ssl- options it holds for all https lines, wherever it stands."},
	{Name: optionMinVersion, Type: config.String, Default: "1.2", Where: config.Main,
		Help: "The oldest TLS that is spoken: 1.2 or 1.3; 1.0 and 1.1 only with ssl-i-know."},
	{Name: "ssl-enable-tlsv1", Type: config.Flag, Where: config.Main,
		Help: "Speak TLS 1.0 and 1.1 too. Refused, because both are broken and no browser needs them, unless ssl-i-know is there too."},
	{Name: "ssl-enable3", Aliases: []string{"ssl-enable-sslv3"}, Type: config.Flag, Where: config.Main,
		Help: "Refused: SSL 3 is broken, and there is no program here that speaks it."},
	{Name: optionIKnow, Type: config.Flag, Where: config.Main,
		Help: "Whoever wrote this file knows that TLS 1.0 and 1.1 can be listened to, and wants ssl-enable-tlsv1 or ssl-min-version carried out."},
	{Name: "ssl-option", Type: config.String, Repeat: true, Where: config.Main,
		Help: "OpenSSL's SSL_OP_ numbers, such as 536870912 (no TLS 1.3) or 16384 (no session tickets)."},
	{Name: "ssl-sessions-timeout", Type: config.Seconds, Min: 1, Where: config.Main,
		Help: "How long after its last use a TLS session can be resumed; without the line between 24 and 36 hours, as keys rotate."},
	{Name: "ssl-sessions-use-cache", Aliases: []string{"ssl-session-use-cache"}, Argument: config.Optional, Where: config.Main,
		Ignored: "TLS sessions are kept by the clients, in tickets that every router of this emperor can open: there is nothing to cache"},
	{Name: "ssl-tmp-dir", Argument: config.Required, Where: config.Main,
		Ignored: "certificates and keys are named by files and not written into the configuration, so none has to be kept in a folder meanwhile"},
	{Name: "ssl-verbose", Argument: config.Optional, Where: config.Main,
		Ignored: "each handshake that fails is a line of the log anyway"},
	{Name: "https-socket-modifier1", Argument: config.Required, Where: config.Main, Ignored: "see http-modifier1"},
	{Name: "https-socket-modifier2", Argument: config.Required, Where: config.Main, Ignored: "see http-modifier2"},
}

// policy is what names demand that say nothing themselves. uWSGI's order (an ssl-
// option after an https line is silently without effect) is not kept.
func (s *certificates) policy(c *config.Config, mistake, warn func(config.Value, error)) sni.Policy {
	p := sni.Policy{VerifyDepth: int(c.Int("ssl-verify-depth")), SessionTime: c.Seconds("ssl-sessions-timeout")}
	if p.VerifyDepth == 0 {
		p.VerifyDepth = sni.NoneBetween
	}
	var err error
	if p.MinVersion, err = tlsVersion(c.Text(optionMinVersion)); err != nil {
		v, _ := c.Last(optionMinVersion)
		mistake(v, err)
		p.MinVersion = tls.VersionTLS12
	}
	if c.Bool("ssl-enable-tlsv1") && !c.Has(optionMinVersion) {
		p.MinVersion = tls.VersionTLS10
	}
	if p.MinVersion < tls.VersionTLS12 && !c.Bool(optionIKnow) {
		v, ok := c.Last("ssl-enable-tlsv1")
		if !ok {
			v, _ = c.Last(optionMinVersion)
		}
		mistake(v, errOldTLS)
		p.MinVersion = tls.VersionTLS12
	}
	if c.Bool("ssl-enable3") {
		v, _ := c.Last("ssl-enable3")
		mistake(v, errSSL3)
	}
	for _, v := range c.All("ssl-option") {
		changed, note, err := p.WithSSLOption(v.Value)
		if err != nil {
			mistake(v, err)
			continue
		}
		p = changed
		if note != "" {
			warn(v, errors.New(note))
		}
	}
	return p
}

var (
	errOldTLS = errors.New("TLS 1.0 and 1.1 are broken and refused: leave the line out, or write ssl-i-know = true beside it")
	errSSL3   = errors.New("SSL 3 is broken and not spoken here: leave the line out")
)

func tlsVersion(text string) (uint16, error) {
	switch text {
	case "1.2", "":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	case "1.1":
		return tls.VersionTLS11, nil
	case "1.0":
		return tls.VersionTLS10, nil
	}
	return 0, fmt.Errorf("want 1.2 or 1.3, got %q", text)
}
