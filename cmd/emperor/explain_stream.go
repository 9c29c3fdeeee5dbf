package main

import (
	"net/netip"
	"strings"

	"emperor/router"
)

// readAsking takes --alpn=PROTOCOL,PROTOCOL and --from=ADDRESS, which say more of the
// client of a tls:// URL.
func readAsking(asking *router.Asking, arg string) (taken bool, err error) {
	if protocols, ok := strings.CutPrefix(arg, "--alpn="); ok {
		asking.Protocols = strings.Split(protocols, ",")
		for _, one := range asking.Protocols {
			if one == "" || len(one) > 255 {
				return true, usageError("explain: --alpn=%s: want protocols such as h2,http/1.1", protocols)
			}
		}
		return true, nil
	}
	if from, ok := strings.CutPrefix(arg, "--from="); ok {
		if asking.Remote, err = netip.ParseAddr(from); err != nil {
			return true, usageError("explain: --from=%s: want an IP address", from)
		}
		return true, nil
	}
	return false, nil
}
