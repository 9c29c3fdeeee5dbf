package router

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"emperor/internal/link"
	"emperor/internal/near"
	"emperor/router/sni"
	"emperor/router/stream"
)

// Asking is what Explain is told of a client beside a URL.
type Asking struct {
	Protocols []string   // that it offers in its ClientHello (ALPN)
	Remote    netip.Addr // where it comes from
}

// IsStream tells whether a URL is one for ExplainStream.
func IsStream(target string) bool {
	scheme, _, found := strings.Cut(strings.ToLower(target), "://")
	return found && (scheme == "tls" || scheme == "tcp")
}

// ExplainStream says what would become of a connection: tls://NAME[:PORT] is of a
// client that asks for that name, and tcp://:PORT of one that does not speak TLS.
func ExplainStream(configuration *link.Configuration, vassals []link.Vassal, asking Asking, target string) (string, error) {
	settings, err := explained(configuration)
	if err != nil {
		return "", err
	}
	u, err := parseStreamURL(target)
	if err != nil {
		return "", err
	}
	e := &streamExplained{settings: settings, configuration: configuration, vassals: vassals, url: u}
	if name := u.Hostname(); name != "" && u.Scheme == "tls" && !isAddress(name) {
		if e.client.Name, err = sni.CanonicalName(name); err != nil {
			return "", fmt.Errorf("%q is no name: %w%s", name, err, nameAdvice(name))
		}
	}
	if u.Scheme == "tcp" && len(asking.Protocols) > 0 {
		return "", fmt.Errorf("%s: who does not speak TLS offers no protocols (ALPN)", target)
	}
	e.client.Remote = asking.Remote
	e.offers(asking.Protocols)
	e.request(asking.Protocols)
	explainListeners(&e.out, configuration, u)
	e.explain()
	return e.out.String(), nil
}

// parseStreamURL reads tls://NAME[:PORT] and tcp://:PORT.
func parseStreamURL(target string) (*url.URL, error) {
	const want = "want a URL such as tls://db.example.com:443, or tcp://:443 for bytes that are no TLS"
	u, err := url.Parse(target)
	if err != nil || !IsStream(target) || u.Host == "" && u.Scheme == "tcp" {
		return nil, fmt.Errorf("%q: %s", target, want)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q: there is no request in a stream, %s", target, want)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("%q: the port is %s, want a number from 1 to 65535", target, port)
		}
	}
	return u, nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// nameAdvice says what a client asks for that is given such a name.
func nameAdvice(name string) string {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return "; clients ask for such a name in ASCII (xn--…)"
		}
	}
	return ""
}

// explainStreamed says of a browser's connection that it does not come to the HTTP
// rules; false: it does.
func explainStreamed(out *strings.Builder, s *Settings, configuration *link.Configuration, vassals []link.Vassal, asking Asking, u *url.URL) bool {
	name, err := sni.CanonicalName(u.Hostname())
	if err != nil {
		name = ""
	}
	e := &streamExplained{settings: s, configuration: configuration, vassals: vassals, url: u}
	e.client = stream.Client{Name: name, Protocols: overHTTP2, Remote: asking.Remote}
	if len(asking.Protocols) > 0 {
		e.offers(asking.Protocols)
	}
	d, ok := s.streams.table.Find(&e.client)
	if !ok {
		return false
	}
	e.steps()
	if d.Action != stream.HTTP || d.Refused != "" {
		e.outcome(&d)
	}
	out.WriteString(e.out.String())
	return d.Action != stream.HTTP
}

// streamExplained is one connection that is explained.
type streamExplained struct {
	out           strings.Builder
	settings      *Settings
	configuration *link.Configuration
	vassals       []link.Vassal
	url           *url.URL
	client        stream.Client
}

// offers says what the client offers by ALPN.
func (e *streamExplained) offers(protocols []string) {
	e.client.Protocols = nil
	for _, one := range protocols {
		e.client.Protocols = append(e.client.Protocols, []byte(one))
	}
}

func (e *streamExplained) request(protocols []string) {
	what := "TLS without a name"
	switch {
	case e.url.Scheme == "tcp":
		what = "bytes that are no TLS"
	case e.url.Hostname() != "":
		what = "TLS for " + e.url.Hostname()
	}
	fmt.Fprintf(&e.out, "connection %s", what)
	if len(protocols) > 0 {
		fmt.Fprintf(&e.out, ", offers %s", strings.Join(protocols, ", "))
	}
	if e.client.Remote.IsValid() {
		fmt.Fprintf(&e.out, ", from %s", e.client.Remote)
	}
	e.out.WriteString("\n")
}

func (e *streamExplained) explain() {
	listener := listenerFor(e.configuration, e.url)
	option, address := optionHTTPS, ""
	if listener != nil {
		option, address = listener.Option, listener.Address
	}
	if e.url.Scheme == "tls" && isAddress(e.url.Hostname()) {
		fmt.Fprintf(&e.out, "name       none: who connects to an address names nobody\n")
	}
	switch {
	case option == optionRawRouter:
		d, ok := e.settings.streams.table.Listener(optionRawRouter, address, &e.client)
		e.decided(&d, ok, false)
		return
	case e.url.Scheme == "tcp":
		d, ok := e.settings.streams.table.DefaultFor(&e.client)
		if ok {
			fmt.Fprintf(&e.out, "yes  %s: %s\n", d.Rule.Place(), d.Rule)
		}
		e.decided(&d, ok, false)
		return
	}
	e.steps()
	d, ok := e.settings.streams.table.Find(&e.client)
	if !ok && !isHTTPS(option) {
		if d, ok = e.settings.streams.table.Listener(optionSSLRouter, address, &e.client); ok && !e.hasCertificate(listener) {
			d.Action = stream.Pass
		}
		e.decided(&d, ok, false)
		return
	}
	e.decided(&d, ok, isHTTPS(option))
}

// steps tells of each rule why it is for the client, or not.
func (e *streamExplained) steps() {
	steps, _, _ := e.settings.streams.table.Explain(&e.client)
	for _, step := range steps {
		mark := "no "
		if step.Matched {
			mark = "yes"
		}
		fmt.Fprintf(&e.out, "%s  %s: %s\n           %s\n", mark, step.Rule.Place(), step.Rule, step.Text)
	}
}

// decided tells what comes of a decision, or of none.
func (e *streamExplained) decided(d *stream.Decision, ok, requests bool) {
	switch {
	case ok:
		e.outcome(d)
	case requests:
		fmt.Fprintf(&e.out, "goes to    the HTTP rules: no rule of streams is for it%s\n", e.asRequest())
	case e.url.Scheme == "tcp":
		fmt.Fprintln(&e.out, "closed     it does not begin with TLS, and there is no stream-default")
	default:
		fmt.Fprintln(&e.out, "closed     no rule and no address for it")
	}
}

// asRequest says how to ask what becomes of requests on the connection.
func (e *streamExplained) asRequest() string {
	if e.url.Hostname() == "" {
		return "" // any host may be in them
	}
	return fmt.Sprintf(" (emperor explain FILE https://%s/)", e.url.Host)
}

func (e *streamExplained) outcome(d *stream.Decision) {
	switch {
	case d.Refused != "":
		fmt.Fprintf(&e.out, "closed     %s\n", d.Refused)
		return
	case d.Action == stream.Reject && e.url.Scheme == "tcp":
		fmt.Fprintln(&e.out, "closed     rejected")
		return
	case d.Action == stream.Reject:
		fmt.Fprintln(&e.out, "closed     the client gets the alert unrecognized_name")
		return
	case d.Action == stream.HTTP:
		fmt.Fprintf(&e.out, "goes to    the HTTP rules%s\n", e.asRequest())
		return
	case d.Action == stream.TCP && e.url.Scheme != "tcp":
		if !explainCertificate(&e.out, e.settings, e.configuration, e.url) {
			return // which that has said
		}
	}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		name, isVassal := strings.CutPrefix(n.Address, "vassal:")
		if !isVassal {
			fmt.Fprintf(&e.out, "goes to    %s", n)
			if owner, found := byAddress(e.vassals, n.Address); found {
				fmt.Fprintf(&e.out, ", vassal %s", owner.vassal.Name)
			}
			e.out.WriteString("\n")
			continue
		}
		e.vassal(name)
	}
}

func (e *streamExplained) vassal(name string) {
	names := make([]string, len(e.vassals))
	for i := range e.vassals {
		v := &e.vassals[i]
		names[i] = v.Name
		if v.Name != name {
			continue
		}
		fmt.Fprintf(&e.out, "goes to    vassal %s", name)
		for _, a := range v.Addresses {
			fmt.Fprintf(&e.out, ", %s", a.Address)
		}
		e.out.WriteString("\n")
		return
	}
	fmt.Fprintf(&e.out, "closed     there is no vassal %s\n", name)
	if meant, ok := near.Word(name, names); ok {
		fmt.Fprintf(&e.out, "           (there is one called %s)\n", meant)
	}
}

// hasCertificate tells whether TLS can end here for the client's name.
func (e *streamExplained) hasCertificate(listener *link.Listener) bool {
	all, l, err := certificatesFor(e.settings, listener)
	if err != nil {
		return false
	}
	defer all.Close()
	_, ok := l.Find(e.client.Name)
	return ok
}
