package router

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/near"
	"emperor/router/http1"
	"emperor/router/rule"
)

// Explain says what would become of a request: the listener it can come in by,
// every rule with why it matched or not, and where it goes. vassals is the table
// as `check` knows it, without a running emperor.
func Explain(configuration *link.Configuration, vassals []link.Vassal, asking Asking, method, target string) (string, error) {
	settings, err := explained(configuration)
	if err != nil {
		return "", err
	}
	if !strings.Contains(target, "://") {
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q: want a URL such as http://www.example.com/path", target)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%q: want http:// or https://, or tls:// for a TLS client that is no browser", target)
	}
	var request http1.Request
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, requestURI(u), u.Host)
	if _, err := request.Parse([]byte(head), &settings.head); err != nil {
		return "", fmt.Errorf("the router would refuse this request: %w", err)
	}
	path, err := request.AppendPath(nil)
	if err != nil {
		return "", fmt.Errorf("the router would refuse this request: %w", err)
	}

	var out strings.Builder
	fmt.Fprintf(&out, "request    %s %s, host %s\n", method, request.Target, request.Host.Name)
	explainListeners(&out, configuration, u)
	if u.Scheme == "https" {
		if explainStreamed(&out, settings, configuration, vassals, asking, u) {
			return out.String(), nil
		}
		explainCertificate(&out, settings, configuration, u)
	}
	query := rule.Query{Host: request.Host.Name, Path: path, URI: request.Target, QueryString: request.Query}
	if len(request.Host.Port) > 0 {
		query.HostPort = []byte(string(request.Host.Name) + ":" + string(request.Host.Port))
	}
	if asking.Remote.IsValid() {
		query.RemoteAddr = []byte(asking.Remote.String())
	}
	if explainFirst(&out, settings, &request, asking.Remote) {
		return out.String(), nil
	}
	steps, decision := settings.rules.Explain(&query)
	writeSteps(&out, steps)
	explainOutcome(&out, settings, decision, vassals, string(request.Host.Name))
	explainLater(&out, settings, &query, decision)
	return out.String(), nil
}

// explained compiles a configuration as `check` does.
func explained(configuration *link.Configuration) (*Settings, error) {
	set, err := config.NewSet(Options)
	if err != nil {
		return nil, err
	}
	settings, problems := compile(options(set, configuration.Options), &supply{checking: true, given: configuration.Resources})
	return settings, problems.Err()
}

func writeSteps(out *strings.Builder, steps []rule.Step) {
	for _, step := range steps {
		mark := "no "
		if step.Matched {
			mark = "yes"
		}
		fmt.Fprintf(out, "%s  %s: %s\n           %s\n", mark, step.Rule.Pos(), step.Rule, step.Text)
	}
}

// explainFirst tells what the front does before it asks the rules; true when that
// is an answer.
func explainFirst(out *strings.Builder, s *Settings, r *http1.Request, remote netip.Addr) bool {
	if s.pages.health != "" && string(r.Path) == s.pages.health {
		fmt.Fprintf(out, "answer     200 ok: http-health = %s\n", s.pages.health)
		return true
	}
	for i := range s.protection.rates {
		if rate := &s.protection.rates[i]; rate.host.Matches(r.Host.Name) {
			fmt.Fprintf(out, "limit      http-limit-rate = %s\n", rate.text)
		}
	}
	if s.pages.maintenance.Closed(r.Host.Name, remote) != nil {
		fmt.Fprintf(out, "answer     503: in maintenance%s\n", map[bool]string{false: " (for addresses that are not allowed)"}[remote.IsValid()])
		return true
	}
	return false
}

// explainLater runs the chains that follow, for a response with the status that
// the outcome has, 200 where a vassal decides.
func explainLater(out *strings.Builder, s *Settings, q *rule.Query, d *rule.Decision) {
	if q.Status = d.Code; q.Status == 0 {
		q.Status = 200
	}
	for _, chain := range []rule.Chain{rule.ErrorChain, rule.ResponseChain, rule.FinalChain} {
		if !s.rules.Has(chain) || chain == rule.ErrorChain && q.Status < 400 {
			continue
		}
		fmt.Fprintf(out, "then       %s rules, for a response with status %d:\n", chain, q.Status)
		writeSteps(out, s.rules.ExplainChain(chain, q, d))
		if answers(d.Kind) {
			fmt.Fprintf(out, "answer     %s\n", strings.TrimPrefix(d.String(), "answer "))
			q.Status = d.Code
		}
	}
}

func requestURI(u *url.URL) string {
	if uri := u.RequestURI(); uri != "" {
		return uri
	}
	return "/"
}

// explainListeners tells by which listener the request comes in.
func explainListeners(out *strings.Builder, configuration *link.Configuration, u *url.URL) {
	if l := listenerFor(configuration, u); l != nil {
		fmt.Fprintf(out, "listener   %s: %s = %s\n", config.Pos{File: l.File, Line: l.Line}, l.Option, l.Address)
		return
	}
	var others []string
	for _, l := range configuration.Listeners {
		others = append(others, l.Option+" = "+l.Address)
	}
	if len(others) == 0 {
		fmt.Fprintf(out, "listener   none: no %s option in this file\n", u.Scheme)
		return
	}
	fmt.Fprintf(out, "listener   none for %s on port %s; there is %s\n", u.Scheme, portOf(u), strings.Join(others, ", "))
}

func listenerFor(configuration *link.Configuration, u *url.URL) *link.Listener {
	for i := range configuration.Listeners {
		l := &configuration.Listeners[i]
		if l.Option != optionStats && !l.Datagrams && takes(l.Option, u.Scheme) && strings.HasSuffix(l.Address, ":"+portOf(u)) {
			return l
		}
	}
	return nil
}

// takes tells whether a listener is one for clients that speak what a URL says: tls
// without requests in it, tcp without TLS around it.
func takes(option, scheme string) bool {
	switch scheme {
	case "https":
		return isHTTPS(option)
	case "tls":
		return isSecure(option) || option == optionRawRouter
	case "tcp":
		return option == optionRawRouter || isSecure(option)
	}
	return !isSecure(option) && option != optionRawRouter
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme != "http":
		return "443"
	}
	return "80"
}

func explainOutcome(out *strings.Builder, settings *Settings, d *rule.Decision, vassals []link.Vassal, host string) {
	switch d.Kind {
	case rule.Uwsgi, rule.HTTP, rule.HTTPS, rule.FastCGI, rule.SCGI:
		spoken, _ := protocolOf(d.Kind)
		for rest := d.Address; len(rest) > 0; {
			var address []byte
			address, rest = rule.NextNode(rest)
			explainAddress(out, spoken.String(), string(address), vassals)
		}
	case rule.Vassal:
		for i := range vassals {
			if vassals[i].Name == string(d.Name) && vassals[i].Files != nil {
				explainFolder(out, &vassals[i])
				return
			}
			if vassals[i].Name == string(d.Name) {
				fmt.Fprintf(out, "goes to    vassal %s", d.Name)
				for _, a := range vassals[i].Addresses {
					fmt.Fprintf(out, ", %s:%s", a.Protocol, a.Address)
				}
				fmt.Fprintln(out)
				explainOnlyStreams(out, vassals[i].Addresses)
				return
			}
		}
		fmt.Fprintf(out, "answer     404: there is no vassal %s\n", d.Name)
		names := make([]string, len(vassals))
		for i := range vassals {
			names[i] = vassals[i].Name
		}
		if meant, ok := near.Word(string(d.Name), names); ok {
			fmt.Fprintf(out, "           (there is one called %s)\n", meant)
		}
	case rule.Redirect:
		fmt.Fprintf(out, "answer     %d, Location: %s\n", d.Code, d.Location)
	case rule.Status:
		fmt.Fprintf(out, "answer     %d %s\n", d.Code, d.Reason)
	case rule.Close:
		fmt.Fprintln(out, "answer     none: the connection is closed")
	case rule.Unsafe:
		fmt.Fprintf(out, "answer     400: %s\n", d.Why)
	case rule.Challenge, rule.Static, rule.File:
		fmt.Fprintf(out, "answer     %s\n", strings.TrimPrefix(d.String(), "answer "))
	default:
		if settings.subscriptions.active && !settings.mapping.pattern {
			fmt.Fprintf(out, "goes to    the nodes that have announced themselves for %s (%s); 404 if nobody has\n", host, optionSubscriptions)
			explainAnnouncers(out, &settings.subscriptions, vassals, host)
			return
		}
		if settings.mapping.active {
			if address, ok := settings.mapping.appendAddress(nil, []byte(host)); ok {
				explainAddress(out, settings.defaults.protocol.String(), string(address), vassals)
				return
			}
		}
		if len(settings.defaults.targets) > 0 {
			fmt.Fprint(out, "goes to    http-to")
			for i := range settings.defaults.targets {
				fmt.Fprintf(out, " %s", settings.defaults.targets[i].text)
			}
			fmt.Fprintln(out)
			return
		}
		fmt.Fprintln(out, "answer     404: no rule for this host")
		if suggestion := settings.rules.Catching(host); suggestion != "" {
			fmt.Fprintf(out, "           %s would catch it\n", suggestion)
		}
	}
}

// explainAddress tells whose socket an address is.
func explainAddress(out *strings.Builder, spoken, address string, vassals []link.Vassal) {
	owner, found := byAddress(vassals, address)
	switch {
	case !found:
		fmt.Fprintf(out, "goes to    %s:%s, a socket of no vassal\n", spoken, address)
		if meant := link.Nearest(address, vassals); meant != "" {
			fmt.Fprintf(out, "           (%s)\n", meant)
		}
	case owner.vassal.Files != nil:
		explainFolder(out, owner.vassal)
	default:
		fmt.Fprintf(out, "goes to    %s:%s, vassal %s\n", owner.protocol, address, owner.vassal.Name)
		if owner.protocol == link.TCP {
			explainOnlyStreams(out, []link.Address{{Protocol: link.TCP}})
		} else if owner.protocol != spoken {
			fmt.Fprintf(out, "           (the rule says %s; the vassal's own protocol counts)\n", spoken)
		}
	}
}

// explainFolder names the folder of a vassal of static files. How the rule has found
// it makes no difference.
func explainFolder(out *strings.Builder, v *link.Vassal) {
	fmt.Fprintf(out, "goes to    the folder %s, vassal %s\n", v.Files.Path, v.Name)
}

type addressOwner struct {
	vassal   *link.Vassal
	protocol string
}

func byAddress(vassals []link.Vassal, address string) (addressOwner, bool) {
	for i := range vassals {
		for _, a := range vassals[i].Addresses {
			if a.Address == address {
				return addressOwner{&vassals[i], a.Protocol}, true
			}
		}
	}
	return addressOwner{}, false
}
