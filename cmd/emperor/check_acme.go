package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"emperor/emperor"
	"emperor/emperor/acme"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/rule"
)

// acmeProblems says which certificates would be ordered, and what is in the way.
func acmeProblems(main *emperor.Main, table *rule.Table) (problems config.Problems, notes []string) {
	v, _ := main.Config.Last("acme")
	warn := func(v config.Value, format string, args ...any) {
		problems = append(problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: fmt.Sprintf(format, args...), Warning: true})
	}
	i, err := main.Issuance()
	if err == nil && i == nil {
		if !main.Config.Bool("acme") {
			for _, other := range main.Config.Values {
				if strings.HasPrefix(other.Key, "acme-") {
					warn(other, "has no effect without acme = on")
					break
				}
			}
		}
		return problems, nil
	}
	if err == nil {
		err = acme.Inspect(i.Directory)
	}
	if err != nil {
		// The emperor may be another user than whoever checks.
		problems = append(problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error(), Warning: os.Geteuid() != 0})
		if i == nil {
			return problems, nil
		}
	}
	if !slices.ContainsFunc(main.Front.Listeners, func(l link.Listener) bool { return isHTTPS(l.Option) }) {
		warn(v, "no https listener would show the certificates")
	}
	if len(i.Challenges) == 0 {
		warn(v, "nothing is ordered: the authority would look at port 80 or 443, and there is neither http nor https")
	} else if !reachable(main, i) {
		warn(v, "the authority looks at port 80 for http-01 and at port 443 for tls-alpn-01, and no listener has the one that is needed: something in front of this machine has to send them here")
	}
	authority, _, _ := strings.Cut(strings.TrimPrefix(i.CA, "https://"), "/")
	var private []string
	for _, name := range i.Names {
		if !acme.Public(name) {
			private = append(private, name)
		}
	}
	if len(private) > 0 && acme.IsPublic(i.CA) {
		warn(v, "no public authority issues certificates for %s", someOf(private))
	}
	more := main.Config.Has("acme-ask")
	for _, v := range main.Config.All("acme-allow") {
		more = more || strings.HasPrefix(v.Value, "*.")
	}
	if len(i.Names) > 0 {
		notes = append(notes, fmt.Sprintf("%s: certificates are ordered from %s for %s; they are kept in %s", v.Pos, authority, someOf(i.Names), i.Directory))
	} else if !more {
		warn(v, "nothing is ordered: no rule spells a host that has no certificate, and acme-allow names none")
	}
	if more {
		notes = append(notes, fmt.Sprintf("%s: further hosts are ordered when somebody asks for one that acme-allow has or acme-ask permits", v.Pos))
	} else if one := capturing(table); one != nil {
		notes = append(notes, fmt.Sprintf("%s: hosts of captures (%s) get no certificate: acme-allow or acme-ask has to say which", v.Pos, one.Pos()))
	}
	return problems, notes
}

func isHTTPS(option string) bool { return option == "https" || option == "https2" }

// reachable tells whether a listener has the port where the authority looks.
func reachable(main *emperor.Main, i *link.Issuance) bool {
	for _, l := range main.Front.Listeners {
		_, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			return true // an inherited socket: who knows
		}
		plain := l.Option == "http" || l.Option == "http-to-https"
		if plain && port == "80" && slices.Contains(i.Challenges, link.HTTP01) || isHTTPS(l.Option) && port == "443" && slices.Contains(i.Challenges, link.TLSALPN01) {
			return true
		}
	}
	return false
}

// capturing is the first rule whose hosts nobody can list.
func capturing(table *rule.Table) *rule.Rule {
	if table == nil {
		return nil
	}
	for _, one := range table.Rules() {
		_, isHost := hostPattern(one)
		if kind, _, literal := one.Target(); isHost && kind != rule.None && !literal {
			return one
		}
	}
	return nil
}

// someOf is a list of names for a message, cut when it is long.
func someOf(names []string) string {
	const most = 5
	switch {
	case len(names) > most:
		return fmt.Sprintf("%s … (%d in all)", strings.Join(names[:most], ", "), len(names))
	}
	return strings.Join(names, ", ")
}
