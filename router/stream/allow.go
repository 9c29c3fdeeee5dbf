package stream

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// allowList is what stream-allow lines name: the hosts that captures may decide
// on.
type allowList struct {
	domains  []allowedDomain
	networks []netip.Prefix
}

type allowedDomain struct {
	suffix string // ".example.com"
	below  bool   // not the domain itself: "*.example.com"
}

func (a *allowList) empty() bool { return len(a.domains) == 0 && len(a.networks) == 0 }

// add reads one line: a domain or a network.
func (a *allowList) add(text string) error {
	text = strings.TrimSpace(text)
	if network, err := parseNetwork(text); err == nil {
		a.networks = append(a.networks, network)
		return nil
	}
	name := strings.ToLower(text)
	rest, below := strings.CutPrefix(name, "*.")
	domain := strings.TrimSuffix(strings.TrimPrefix(rest, "."), ".")
	if text == "*" || text == "." || text == "*." {
		return fmt.Errorf("%s would make the front an open proxy, want a domain such as .example.com or a network such as 10.0.0.0/8", text)
	}
	if err := checkName(domain); err != nil {
		return fmt.Errorf("%q is neither a domain such as .example.com nor a network such as 10.0.0.0/8 (%w)", text, err)
	}
	a.domains = append(a.domains, allowedDomain{"." + domain, below})
	return nil
}

// admit tells whether a host may be connected to. Of a name that is in no allowed
// domain, networks holds where its address must be.
func (a *allowList) admit(host string) (networks []netip.Prefix, err error) {
	if address, err := netip.ParseAddr(host); err == nil {
		address = address.Unmap().WithZone("")
		for _, network := range a.networks {
			if network.Contains(address) {
				return nil, nil
			}
		}
		return nil, fmt.Errorf("%s is in no network of stream-allow", host)
	}
	for _, domain := range a.domains {
		if strings.HasSuffix(host, domain.suffix) || !domain.below && host == domain.suffix[1:] {
			return nil, nil
		}
	}
	if len(a.networks) > 0 {
		return a.networks, nil
	}
	if a.empty() {
		return nil, errors.New(host + ": there is no stream-allow")
	}
	return nil, fmt.Errorf("%s is in no domain of stream-allow", host)
}
