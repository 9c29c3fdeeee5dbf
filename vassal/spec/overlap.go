package spec

import (
	"fmt"
	"slices"
	"strings"

	"emperor/internal/config"
)

// alone are options of uWSGI with which two generations would collide whatever
// their value: both would want the same lock, daemon or port.
var alone = []string{
	"attach-daemon", "attach-control-daemon", "smart-attach-daemon", "smart-attach-daemon2", "attach-daemon2",
	"legion-attach-daemon", "legion-smart-attach-daemon", "legion-smart-attach-daemon2",
	"flock", "flock-wait", "flock2", "flock-wait2",
	"legion", "legion-mcast", "legion-node",
	"shared-socket", "undeferred-shared-socket", "zerg-server", "zerg-pool",
	"emperor", "early-emperor", "tuntap-router", "tuntap-device", "snmp", "udp",
}

// gateways are options that bind an address of their own. A unix path is taken
// over by the later one; a TCP port is not.
var gateways = []string{
	"stats", "stats-server", "http", "http-router", "https", "https2", "https-export-cert", "http-to-https",
	"http-subscription-server", "http-stats", "http-stats-server", "http-ss",
	"fastrouter", "fastrouter-subscription-server", "fastrouter-stats", "fastrouter-stats-server", "fastrouter-ss",
	"rawrouter", "rawrouter-subscription-server", "rawrouter-stats", "rawrouter-stats-server", "rawrouter-ss",
	"sslrouter", "sslrouter2", "sslrouter-subscription-server", "sslrouter-stats", "sslrouter-stats-server", "sslrouter-ss",
	"forkptyrouter", "forkpty-router", "tuntap-router-stats", "carbon-socket",
}

// jails are options after which a path means something else to the vassal than
// to us; uWSGI must bind by itself there.
var jails = []string{"chroot", "pivot-root", "pivot_root", "namespace", "ns", "unshare", "unshare2", "setns", "setns-socket"}

// uwsgiOverlap decides whether two generations of a uWSGI vassal may run at the
// same time, and which line forbids it.
func uwsgiOverlap(c *config.Config, sockets []Socket) (bool, string) {
	if v, ok := c.Last("overlap"); ok && !c.Bool("overlap") {
		return false, Reason(v)
	}
	if c.Foreign != "" {
		return false, fmt.Sprintf("its %s can only be read by uWSGI", c.Foreign)
	}
	if values := c.All(alone...); len(values) > 0 {
		return false, Reason(values[0])
	}
	for _, v := range c.All(gateways...) {
		if v.Unknown || isPort(v.Value) {
			return false, Reason(v)
		}
	}
	if len(c.Unread) > 0 {
		return false, "only uWSGI can read " + Reason(c.Unread[0])
	}
	for _, s := range sockets {
		if !s.Held {
			return false, fmt.Sprintf("socket %s (%s) is bound by uWSGI: %s", s.Address, ShortPos(s.Pos), s.Why)
		}
	}
	if len(sockets) == 0 {
		return false, "it has no socket"
	}
	return true, ""
}

// isPort tells a TCP address from a path as uWSGI does: by its colon. Options
// like https have more fields after a comma.
func isPort(value string) bool {
	value, _, _ = strings.Cut(value, ",")
	return strings.Contains(value, ":") && !strings.HasPrefix(value, "/") || strings.Trim(value, "0123456789") == ""
}

// Jailed: uWSGI changes its root directory before it looks for anything. c are the options
// of its file.
func (s *Spec) Jailed(c *config.Config) bool {
	return s.Kind == UWSGI && slices.ContainsFunc(jails, c.Has)
}
