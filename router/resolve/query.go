package resolve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// found is the outcome of asking for a name. Its error is ErrNotFound when the
// servers say so, and another when they could not be asked.
type found struct {
	addresses []netip.Addr // IPv4 first
	ttl       time.Duration
	err       error
}

// lookup asks for name, with the domains of the search list behind it where that
// is called for.
func (a *asker) lookup(ctx context.Context, c *Config, name string) found {
	var failure error
	nothing := found{err: ErrNotFound, ttl: unsaid}
	for _, full := range c.candidates(name) {
		f := a.lookupFull(ctx, c, full)
		switch {
		case f.err == nil:
			return f
		case errors.Is(f.err, ErrNotFound):
			nothing.ttl = min(nothing.ttl, f.ttl)
		default:
			failure = f.err
		}
	}
	if failure != nil {
		// One that was not answered might have been the right one.
		return found{err: failure}
	}
	return nothing
}

// unsaid is the TTL where there is none.
const unsaid = time.Duration(1<<63 - 1)

// lookupFull asks for both kinds of addresses.
func (a *asker) lookupFull(ctx context.Context, c *Config, full string) found {
	var v4, v6 found
	var asking sync.WaitGroup
	asking.Go(func() { v4 = a.ask(ctx, c, full, dnsmessage.TypeA) })
	asking.Go(func() { v6 = a.ask(ctx, c, full, dnsmessage.TypeAAAA) })
	asking.Wait()
	all := append(v4.addresses, v6.addresses...)
	if len(all) > 0 {
		f := found{addresses: all, ttl: unsaid}
		for _, one := range []found{v4, v6} {
			if len(one.addresses) > 0 {
				f.ttl = min(f.ttl, one.ttl)
			}
		}
		return f
	}
	for _, one := range []found{v4, v6} {
		if !errors.Is(one.err, ErrNotFound) {
			return one
		}
	}
	return found{err: ErrNotFound, ttl: min(v4.ttl, v6.ttl)}
}

// asker asks servers and remembers which one answers.
type asker struct {
	names *serverNames // nil: servers have no names

	mu    sync.Mutex
	first int // guarded by mu; the server to begin with
}

func (a *asker) begin(c *Config) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.Rotate {
		a.first++
	}
	return a.first
}

func (a *asker) answered(server int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.first = server
}

// ask goes through the servers until one answers.
func (a *asker) ask(ctx context.Context, c *Config, full string, kind dnsmessage.Type) found {
	q, err := newQuestion(full, kind)
	if err != nil {
		return found{err: err}
	}
	timeout, attempts := c.Timeout, c.Attempts
	if timeout == 0 {
		timeout = defaultTimeout
	}
	if attempts == 0 {
		attempts = defaultAttempts
	}
	first := a.begin(c)
	for attempt := range attempts {
		patience := time.Duration(attempt+1) * timeout
		// In a second round nobody who may answer is left out.
		servers, unknown := a.names.find(ctx, c.Servers, attempt > 0, patience)
		if len(servers) == 0 {
			err = unknown
		}
		for i := range servers {
			index := (first + i) % len(servers)
			server := servers[index]
			f, failure := q.exchange(ctx, server.place(), patience)
			if failure == nil {
				if i > 0 || attempt > 0 {
					a.answered(index)
				}
				return f
			}
			if ctx.Err() != nil {
				return found{err: ctx.Err()}
			}
			if server.Host != "" {
				a.names.failed(server, failure)
			}
			err = fmt.Errorf("name server %v: %w", server, failure)
		}
		if ctx.Err() != nil {
			return found{err: ctx.Err()}
		}
	}
	return found{err: err}
}

// question is one question as it goes over the wire.
type question struct {
	id     uint16
	asked  dnsmessage.Question
	packed []byte // with room for TCP's length in front
}

func newQuestion(full string, kind dnsmessage.Type) (*question, error) {
	name, err := dnsmessage.NewName(full)
	if err != nil {
		return nil, fmt.Errorf("%w: it can't be a name", ErrNotFound)
	}
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	q := &question{id: binary.BigEndian.Uint16(id[:]), asked: dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}}
	b := dnsmessage.NewBuilder(make([]byte, 2, 300), dnsmessage.Header{ID: q.id, RecursionDesired: true})
	if err := errors.Join(b.StartQuestions(), b.Question(q.asked)); err != nil {
		return nil, fmt.Errorf("%w: it can't be a name", ErrNotFound)
	}
	if q.packed, err = b.Finish(); err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(q.packed, uint16(len(q.packed)-2))
	return q, nil
}

// exchange asks one server: over UDP, and over TCP when the answer is too long
// for that.
func (q *question) exchange(ctx context.Context, server netip.AddrPort, timeout time.Duration) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	f, err := q.exchangeOver(ctx, "udp", server)
	if errors.Is(err, errTruncated) {
		f, err = q.exchangeOver(ctx, "tcp", server)
	}
	return f, err
}

// udpSize is the most that a server sends over UDP to one who does not ask for
// more.
const udpSize = 512

func (q *question) exchangeOver(ctx context.Context, network string, server netip.AddrPort) (found, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return found{}, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		if _, err := conn.Write(q.packed); err != nil {
			return found{}, err
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return found{}, err
		}
		reply := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, reply); err != nil {
			return found{}, err
		}
		return q.read(reply)
	}
	if _, err := conn.Write(q.packed[2:]); err != nil {
		return found{}, err
	}
	for buffer := make([]byte, udpSize); ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return found{}, err
		}
		// What is no answer to this question was sent by somebody else, or is late.
		if f, err := q.read(buffer[:n]); !errors.Is(err, errForeign) {
			return f, err
		}
	}
}

var (
	errTruncated = errors.New("the answer is truncated")
	errForeign   = errors.New("an answer to another question")
)

// read takes a reply apart.
func (q *question) read(reply []byte) (found, error) {
	var p dnsmessage.Parser
	h, err := p.Start(reply)
	if err != nil || h.ID != q.id || !h.Response {
		return found{}, errForeign
	}
	asked, err := p.AllQuestions()
	if err != nil || len(asked) != 1 || asked[0].Type != q.asked.Type || asked[0].Class != q.asked.Class || lower(asked[0].Name) != lower(q.asked.Name) {
		return found{}, errForeign
	}
	switch {
	case h.Truncated:
		return found{}, errTruncated
	case h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return found{}, fmt.Errorf("it answers %s", strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	f, err := q.answers(&p)
	if err != nil || len(f.addresses) > 0 {
		return f, err
	}
	return found{err: ErrNotFound, ttl: negativeTTL(&p)}, nil
}

// answers reads the answer section: the addresses of the name asked for, or of
// the name that its aliases lead to.
func (q *question) answers(p *dnsmessage.Parser) (found, error) {
	type address struct {
		owner string
		ip    netip.Addr
		ttl   uint32
	}
	type alias struct {
		to  string
		ttl uint32
	}
	var addresses []address
	aliases := map[string]alias{}
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return found{}, err
		}
		owner := lower(h.Name)
		switch {
		case h.Class != dnsmessage.ClassINET:
			err = p.SkipAnswer()
		case h.Type == dnsmessage.TypeA && q.asked.Type == dnsmessage.TypeA:
			var r dnsmessage.AResource
			if r, err = p.AResource(); err == nil {
				addresses = append(addresses, address{owner, netip.AddrFrom4(r.A), h.TTL})
			}
		case h.Type == dnsmessage.TypeAAAA && q.asked.Type == dnsmessage.TypeAAAA:
			var r dnsmessage.AAAAResource
			if r, err = p.AAAAResource(); err == nil {
				addresses = append(addresses, address{owner, netip.AddrFrom16(r.AAAA), h.TTL})
			}
		case h.Type == dnsmessage.TypeCNAME:
			var r dnsmessage.CNAMEResource
			if r, err = p.CNAMEResource(); err == nil {
				aliases[owner] = alias{lower(r.CNAME), h.TTL}
			}
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return found{}, err
		}
	}
	f := found{ttl: unsaid}
	name := lower(q.asked.Name)
	for range 16 {
		for _, a := range addresses {
			if a.owner == name {
				f.addresses = append(f.addresses, a.ip)
				f.ttl = min(f.ttl, time.Duration(a.ttl)*time.Second)
			}
		}
		next, ok := aliases[name]
		if len(f.addresses) > 0 || !ok {
			break
		}
		name = next.to
		f.ttl = min(f.ttl, time.Duration(next.ttl)*time.Second)
	}
	return f, nil
}

// negativeTTL is how long the name does not exist for, as the zone says (RFC
// 2308 §5).
func negativeTTL(p *dnsmessage.Parser) time.Duration {
	for {
		h, err := p.AuthorityHeader()
		if err != nil {
			return unsaid
		}
		if h.Type != dnsmessage.TypeSOA {
			if p.SkipAuthority() != nil {
				return unsaid
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return unsaid
		}
		return time.Duration(min(h.TTL, soa.MinTTL)) * time.Second
	}
}

func lower(n dnsmessage.Name) string { return strings.ToLower(n.String()) }
