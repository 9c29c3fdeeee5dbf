package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/link"
	"emperor/router/accesslog"
	"emperor/router/subscription"
)

// hearsay rations log lines about announcements: a flood of nonsense must not hide
// what becomes of nodes.
type hearsay struct{ changes, refusals rationing }

// openDatagrams takes over a descriptor that datagrams come in by.
func openDatagrams(described link.Listener, fd int) (*listener, error) {
	file := os.NewFile(uintptr(fd), described.Address)
	defer func() { _ = file.Close() }() // FilePacketConn duplicates
	socket, err := net.FilePacketConn(file)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", described.Address, err)
	}
	if local, ok := socket.(*net.UnixConn); ok {
		if err := askForCredentials(local); err != nil {
			_ = socket.Close()
			return nil, fmt.Errorf("listener %s: %w", described.Address, err)
		}
	}
	return &listener{described: described, datagrams: socket, done: make(chan struct{})}, nil
}

// askForCredentials makes the kernel tell who sends.
func askForCredentials(socket *net.UnixConn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	if controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); controlErr != nil {
		return controlErr
	}
	return os.NewSyscallError("setsockopt", err)
}

// origin is who sent a datagram.
type origin struct {
	who   string // whom it counts for: one machine, or one user of this one
	local bool   // somebody on this machine
	user  subscription.Credentials
}

// noUser is what the kernel says, with process 0, of a datagram that was sent before
// it was asked to tell, or by a user whom this namespace does not have. It is also the
// number of nobody, who has not sent it.
const noUser = 65534

// next reads a datagram.
func (l *listener) next(packet, control []byte) (n int, from origin, err error) {
	local, ok := l.datagrams.(*net.UnixConn)
	if !ok {
		n, address, err := l.datagrams.ReadFrom(packet)
		if udp, ok := address.(*net.UDPAddr); ok {
			ip := udp.AddrPort().Addr().Unmap().WithZone("")
			from = origin{who: ip.String(), local: ip.IsLoopback()}
		}
		return n, from, err
	}
	n, controls, _, _, err := local.ReadMsgUnix(packet, control)
	from = origin{who: "unix", local: true}
	messages, _ := unix.ParseSocketControlMessage(control[:controls])
	for i := range messages {
		if u, err := unix.ParseUnixCredentials(&messages[i]); err == nil && !(u.Pid == 0 && u.Uid == noUser) {
			from.user = subscription.Credentials{Known: true, PID: u.Pid, UID: u.Uid, GID: u.Gid}
			from.who = fmt.Sprintf("unix, user %d", u.Uid)
		}
	}
	return n, from, err
}

// receive reads announcements until the socket is closed, or its deadline is set.
func (l *listener) receive(r *Router) {
	packet, control := make([]byte, subscription.MaxPacket+1), make([]byte, 256)
	for {
		n, from, err := l.next(packet, control)
		switch {
		case err == nil:
			r.hear(l.described.Option, packet[:n], from)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = l.datagrams.Close()
			return
		default:
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// hear acts on one datagram that has come in by a listener of that option.
func (r *Router) hear(option string, datagram []byte, from origin) {
	p, err := subscription.Parse(datagram)
	p.From = from.user
	change := subscription.Nothing
	if err == nil {
		change, err = r.announcedTable(option).Apply(&p, from.who)
	}
	attributes := []slog.Attr{slog.String("key", p.Key), slog.String("address", p.Address), slog.String("from", from.who)}
	level, message, ration := slog.LevelInfo, "", &r.hearsay.changes
	switch {
	case err != nil:
		level, message, ration = slog.LevelWarn, "announcement refused", &r.hearsay.refusals
		attributes = append(attributes, slog.Any("err", err))
	case change == subscription.Added:
		message = "a node has announced itself"
		attributes = append(attributes, slog.Int("weight", p.Weight))
		if unused := r.unusedPair(&p); unused != "" {
			level = slog.LevelWarn
			attributes = append(attributes, slog.String("certificate", unused))
		}
		if p.Notify != "" && from.local {
			notify(p.Notify, "[subscription ack] "+p.Key+" => new node: "+p.Address)
		}
	case change == subscription.Removed:
		message = "a node has withdrawn"
		r.forgetPairs()
	}
	if message != "" {
		if dropped, ok := ration.allow(time.Now()); ok {
			if dropped > 0 {
				attributes = append(attributes, slog.Int("lines not shown before", dropped))
			}
			r.log.LogAttrs(context.Background(), level, message, attributes...)
		}
	}
	if err == nil && option == optionSubscriptions && (!p.Withdraw || change == subscription.Removed && r.unannounced(p.Key)) {
		r.resubscriber.pass(&p)
	}
}

// notify tells whoever asked for it that his node is known, as uWSGI does; nobody
// waits for it to arrive.
func notify(path, text string) {
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	_, _ = io.WriteString(conn, text)
}

// unannounced tells that the key has no nodes.
func (r *Router) unannounced(key string) bool {
	v := r.announced.Key(key)
	return v == nil || v.Empty()
}

// expire takes away nodes that are silent, until ctx ends.
func (r *Router) expire(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for option, t := range r.announcedTables {
			for _, g := range t.Expire() {
				if _, ok := r.hearsay.changes.allow(time.Now()); ok {
					r.log.Warn("a node has been silent for too long", "key", g.Key, "address", g.Address, "silent", g.Silent.Round(time.Second))
				}
				if g.Last && option == optionSubscriptions {
					r.forgetPairs()
					r.resubscriber.pass(&subscription.Packet{Withdraw: true, Key: g.Key})
				}
			}
		}
	}
}

// listensForNodes says whether this router is the one that reads announcements.
func (r *Router) listensForNodes(listeners map[string]*listener) {
	reads := map[string]bool{}
	for _, l := range listeners {
		reads[l.described.Option] = true
	}
	for option, t := range r.announcedTables {
		if reads[option] {
			t.Watch()
		} else {
			t.Rest()
		}
	}
}

// announcement is what is kept of one node. Of is the option of the server that has heard
// of it; "": http-subscription-server.
type announcement struct {
	subscription.Record
	Of string `json:"of,omitempty"`
}

// announcements is the table for the emperor to keep, if there is something new
// since that version.
func (r *Router) announcements(since uint64) (text json.RawMessage, version uint64) {
	for _, t := range r.announcedTables {
		version += t.Version()
	}
	if version == since {
		return nil, version
	}
	var all []announcement
	version = 0
	for option, t := range r.announcedTables {
		if option == optionSubscriptions {
			option = ""
		}
		records, now := t.Records()
		version += now
		for i := range records {
			all = append(all, announcement{records[i], option})
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, version
	}
	return text, version
}

// takeAnnouncements takes over what another router has heard.
func (r *Router) takeAnnouncements(text json.RawMessage) error {
	var all []announcement
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("router: announcements: %w", err)
	}
	for option, t := range r.announcedTables {
		var records []subscription.Record
		for i := range all {
			if all[i].Of == option || all[i].Of == "" && option == optionSubscriptions {
				records = append(records, all[i].Record)
			}
		}
		t.Merge(records)
	}
	return nil
}

// answerNoNode: the host was announced, and nobody is left.
func (x *exchange) answerNoNode() {
	if x.down.gone() {
		x.down.closeAfter()
		return
	}
	x.entry.Ended = accesslog.NotReady
	x.complain(slog.LevelWarn, "no node is left for this host", slog.Int("status", 503), slog.String("host", string(x.request.HostField)))
	x.answerLater(503, 5, "this site is starting or out of order; try again soon")
}

// announcedFigures are what http-stats shows, with uWSGI's keys and some of ours.
func (r *Router) announcedFigures() []any {
	all := []any{}
	for _, s := range r.announced.Status() {
		type reached struct {
			hits     uint64
			inFlight int
			failed   int64
		}
		known := map[string]reached{}
		hits := uint64(0)
		if v := r.announced.Key(s.Key); v != nil && v.Prepared != nil {
			for _, one := range v.Prepared.group.Status() {
				k := reached{hits: one.Hits, inFlight: one.InFlight}
				if !one.Since.IsZero() {
					k.failed = one.Since.Unix()
				}
				known[v.Prepared.targets[one.Node.Index].text] = k
				hits += one.Hits
			}
		}
		rows := []any{}
		for _, n := range s.Nodes {
			k := known[n.Address]
			proto := "uwsgi"
			if n.HTTP {
				proto = "http"
			}
			rows = append(rows, map[string]any{
				"name": n.Address, "modifier1": n.Modifier1, "modifier2": n.Modifier2, "last_check": n.Seen.Unix(), "pid": n.From.PID, "uid": n.From.UID, "gid": n.From.GID,
				"requests": k.hits, "last_requests": k.hits, "tx": 0, "rx": 0, "cores": n.Cores, "load": n.Load, "weight": n.Weight, "wrr": 0,
				"ref": k.inFlight, "failcnt": 0, "death_mark": k.failed, "proto": proto, "backup": n.Backup, "vassal": n.Vassal, "since": n.Since.Unix(),
			})
		}
		all = append(all, map[string]any{"key": s.Key, "hits": hits, "algo": s.Algorithm, "nodes": slices.Clip(rows)})
	}
	return all
}
