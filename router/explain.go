package router

import (
	"fmt"
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
func Explain(configuration *link.Configuration, vassals []link.Vassal, method, target string) (string, error) {
	set, err := config.NewSet(Options)
	if err != nil {
		return "", err
	}
	settings, problems := compile(options(set, configuration.Options), &supply{checking: true})
	if err := problems.Err(); err != nil {
		return "", err
	}
	if !strings.Contains(target, "://") {
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q: want a URL such as http://www.example.com/path", target)
	}
	if u.Scheme != "http" {
		return "", fmt.Errorf("%q: only http is served", target)
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
	explainListeners(&out, configuration, u.Port())
	query := rule.Query{Host: request.Host.Name, Path: path, URI: request.Target, QueryString: request.Query}
	if len(request.Host.Port) > 0 {
		query.HostPort = []byte(string(request.Host.Name) + ":" + string(request.Host.Port))
	}
	steps, decision := settings.rules.Explain(&query)
	for _, step := range steps {
		mark := "no "
		if step.Matched {
			mark = "yes"
		}
		fmt.Fprintf(&out, "%s  %s: %s\n           %s\n", mark, step.Rule.Pos(), step.Rule, step.Text)
	}
	explainOutcome(&out, settings, decision, vassals, string(request.Host.Name))
	return out.String(), nil
}

func requestURI(u *url.URL) string {
	if uri := u.RequestURI(); uri != "" {
		return uri
	}
	return "/"
}

func explainListeners(out *strings.Builder, configuration *link.Configuration, port string) {
	if port == "" {
		port = "80"
	}
	var others []string
	for _, l := range configuration.Listeners {
		text := l.Option + " = " + l.Address
		if strings.HasSuffix(l.Address, ":"+port) {
			fmt.Fprintf(out, "listener   %s:%d: %s\n", l.File, l.Line, text)
			return
		}
		others = append(others, text)
	}
	if len(others) == 0 {
		fmt.Fprintf(out, "listener   none: no http option in this file\n")
		return
	}
	fmt.Fprintf(out, "listener   none on port %s; there is %s\n", port, strings.Join(others, ", "))
}

func explainOutcome(out *strings.Builder, settings *Settings, d *rule.Decision, vassals []link.Vassal, host string) {
	switch d.Kind {
	case rule.Uwsgi, rule.HTTP:
		spoken := "uwsgi"
		if d.Kind == rule.HTTP {
			spoken = "http"
		}
		owner, found := byAddress(vassals, string(d.Address))
		switch {
		case !found:
			fmt.Fprintf(out, "goes to    %s:%s, a socket of no vassal\n", spoken, d.Address)
			if meant := link.Nearest(string(d.Address), vassals); meant != "" {
				fmt.Fprintf(out, "           (%s)\n", meant)
			}
		default:
			fmt.Fprintf(out, "goes to    %s:%s, vassal %s\n", owner.protocol, d.Address, owner.name)
			if owner.protocol != spoken {
				fmt.Fprintf(out, "           (the rule says %s; the vassal's own protocol counts)\n", spoken)
			}
		}
	case rule.Vassal:
		for i := range vassals {
			if vassals[i].Name == string(d.Name) {
				fmt.Fprintf(out, "goes to    vassal %s", d.Name)
				for _, a := range vassals[i].Addresses {
					fmt.Fprintf(out, ", %s:%s", a.Protocol, a.Address)
				}
				fmt.Fprintln(out)
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
	default:
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

type addressOwner struct{ name, protocol string }

func byAddress(vassals []link.Vassal, address string) (addressOwner, bool) {
	for i := range vassals {
		for _, a := range vassals[i].Addresses {
			if a.Address == address {
				return addressOwner{vassals[i].Name, a.Protocol}, true
			}
		}
	}
	return addressOwner{}, false
}
