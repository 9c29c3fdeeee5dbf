package router

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"emperor/internal/config"
	"emperor/router/subscription"
)

// forward reads http-resubscribe.
func (s *subscriptions) forward(c *config.Config, mistake func(config.Value, error)) {
	all := c.All("http-resubscribe")
	for _, v := range all {
		if _, err := netip.ParseAddrPort(v.Value); err != nil && !strings.HasPrefix(v.Value, "/") {
			mistake(v, fmt.Errorf("want IP:PORT or a unix path, got %q", v.Value))
			continue
		}
		s.forwardTo = append(s.forwardTo, v.Value)
	}
	if len(all) == 0 {
		return
	}
	listeners := c.All(optionHTTP)
	if len(listeners) > 0 {
		host, port, err := net.SplitHostPort(listeners[0].Value)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if host == "localhost" {
			host = "127.0.0.1"
		}
		if ip, ipErr := netip.ParseAddr(host); err == nil && portErr == nil && (host == "" || ipErr == nil) {
			s.as = netip.AddrPortFrom(ip, uint16(n))
			return
		}
	}
	mistake(all[0], errors.New("the first http listener is what is announced: want one at IP:PORT or :PORT"))
}

// resubscriber announces to others what is announced here (http-resubscribe), with
// our own address: they send us the requests, and we know the nodes.
type resubscriber struct {
	mu      sync.Mutex
	servers []resubscription // guarded by mu
}

type resubscription struct {
	server string
	conn   net.Conn
	as     string
}

// use exchanges the servers.
func (r *resubscriber) use(s *subscriptions, log *slog.Logger) {
	var next []resubscription
	for _, server := range s.forwardTo {
		network := "udp"
		if strings.HasPrefix(server, "/") {
			network = "unixgram"
		}
		conn, err := net.Dial(network, server)
		if err != nil {
			log.Error("http-resubscribe: nobody is told there", slog.String("server", server), slog.Any("err", err))
			continue
		}
		next = append(next, resubscription{server, conn, ownAddress(s.as, conn)})
	}
	r.mu.Lock()
	r.servers, next = next, r.servers
	r.mu.Unlock()
	closeResubscriptions(next)
}

// ownAddress is where we are for who is at the other end.
func ownAddress(as netip.AddrPort, conn net.Conn) string {
	ip := as.Addr()
	if !ip.IsValid() || ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
			ip = local.AddrPort().Addr().Unmap()
		}
	}
	return netip.AddrPortFrom(ip, as.Port()).String()
}

func closeResubscriptions(all []resubscription) {
	for _, s := range all {
		_ = s.conn.Close()
	}
}

func (r *resubscriber) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	closeResubscriptions(r.servers)
	r.servers = nil
}

// pass tells all servers. One that does not listen is told again with the node's
// next announcement.
func (r *resubscriber) pass(p *subscription.Packet) {
	r.mu.Lock()
	servers := slices.Clone(r.servers)
	r.mu.Unlock()
	for _, s := range servers {
		ours := subscription.Packet{Withdraw: p.Withdraw, Key: p.Key, Algorithm: p.Algorithm,
			Node: subscription.Node{Address: s.as, Cores: p.Cores, Load: p.Load, Weight: p.Weight, Backup: p.Backup, HTTP: true}}
		_ = s.conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = s.conn.Write(ours.Append(nil))
	}
}
