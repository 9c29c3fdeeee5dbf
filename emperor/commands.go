package emperor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"emperor/emperor/control"
	"emperor/internal/config"
	"emperor/vassal"
)

// uWSGI 2.1 has two sockets to which programs (its routers, cron jobs, tests) send what
// the emperor shall do: a datagram is a command, a connection means "look now". Nobody
// gets an answer; what came of it is in the log. People use the control socket.

// commandMost is the longest command that uWSGI reads.
const commandMost = 4096

// commandsWanted is what the main file says of these sockets.
type commandsWanted struct {
	sockets []commandSocket
}

type commandSocket struct {
	network, text string // "unixgram" or "udp" for commands, "unix" or "tcp" for triggers
	trigger       bool
	value         config.Value
}

func (s commandSocket) name() string { return s.network + " " + s.text }

func (m *Main) readCommands(problems *config.Problems) {
	for _, v := range m.Config.All("emperor-command-socket", "emperor-trigger-socket") {
		network, text, err := m.plainAddress(v.Value)
		if err != nil {
			*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error()})
			continue
		}
		s := commandSocket{network: network, text: text, trigger: v.Key == "emperor-trigger-socket", value: v}
		if !s.trigger {
			s.network = map[string]string{"unix": "unixgram", "tcp": "udp"}[network]
		}
		m.commands.sockets = append(m.commands.sockets, s)
		if at, err := netip.ParseAddrPort(text); s.network == "udp" && (err != nil || !at.Addr().IsLoopback()) {
			*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Warning: true,
				Text: "whoever reaches this address can stop every vassal: nobody is asked who he is; a path, or an address of this machine such as 127.0.0.1:7000, is safer"})
		}
	}
}

// waits tells whether a vassal of that name is to wait for an order before its first
// start.
func (m *Main) waits(name string) bool {
	if !m.Config.Bool("emperor-wait-for-command") || m.App != nil {
		return false
	}
	for _, v := range m.Config.All("emperor-wait-for-command-ignore") {
		base := filepath.Base(v.Value)
		if v.Value == name || strings.TrimSuffix(base, filepath.Ext(base)) == name {
			return false
		}
	}
	return true
}

// commandServer reads these sockets.
type commandServer struct {
	log   *slog.Logger
	carry func(command map[string]string)
	look  func()

	mu      sync.Mutex // guards open
	open    map[string]io.Closer
	running sync.WaitGroup
}

func newCommandServer(carry func(map[string]string), look func(), log *slog.Logger) *commandServer {
	return &commandServer{log: log, carry: carry, look: look, open: map[string]io.Closer{}}
}

// prepare opens the sockets that are not open yet; nothing is read before settle. On an
// error nothing has changed.
func (c *commandServer) prepare(w commandsWanted) (fresh map[string]io.Closer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh = map[string]io.Closer{}
	for _, s := range w.sockets {
		if c.open[s.name()] != nil || fresh[s.name()] != nil {
			continue
		}
		var socket io.Closer
		if s.trigger {
			socket, err = listenPlain(s.network, s.text, 0o600)
		} else {
			socket, err = listenCommands(s.network, s.text)
		}
		if err != nil {
			discardSockets(fresh)
			return nil, config.Problem{Pos: s.value.Pos, Key: s.value.Key, Text: s.text + ": " + err.Error()}
		}
		fresh[s.name()] = socket
	}
	return fresh, nil
}

func discardSockets(fresh map[string]io.Closer) {
	for _, socket := range fresh {
		_ = socket.Close()
	}
}

func listenCommands(network, text string) (net.PacketConn, error) {
	config := net.ListenConfig{}
	if network == "unixgram" {
		if err := clearPath(network, text); err != nil {
			return nil, err
		}
		config.Control = passCredentials
	}
	socket, err := config.ListenPacket(context.Background(), network, text)
	if err != nil {
		host, port, _ := net.SplitHostPort(text)
		return nil, explainListen(err, endpoint{network: network, text: text, host: host, port: port})
	}
	if network == "unixgram" && !strings.HasPrefix(text, "@") {
		if err := os.Chmod(text, 0o600); err != nil {
			_ = socket.Close()
			return nil, err
		}
	}
	return socket, nil
}

// settle reads what prepare has opened, and closes what is wanted no more.
func (c *commandServer) settle(w commandsWanted, fresh map[string]io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := map[string]bool{}
	for _, s := range w.sockets {
		wanted[s.name()] = true
		if c.open[s.name()] != nil {
			continue
		}
		socket := fresh[s.name()]
		c.open[s.name()] = socket
		switch socket := socket.(type) {
		case net.Listener:
			c.running.Go(func() { c.trigger(socket) })
		case net.PacketConn:
			c.running.Go(func() { c.read(socket) })
		}
		c.log.Info("orders", "option", s.value.Key, "address", s.text)
	}
	for name, socket := range c.open {
		if !wanted[name] {
			delete(c.open, name)
			closeCommands(socket)
		}
	}
}

// closeCommands also takes away the file that a socket for datagrams has.
func closeCommands(socket io.Closer) {
	if datagrams, ok := socket.(*net.UnixConn); ok {
		if path := datagrams.LocalAddr().String(); isSocket(path) {
			defer os.Remove(path)
		}
	}
	_ = socket.Close()
}

// close ends everything and waits for it.
func (c *commandServer) close() {
	c.settle(commandsWanted{}, nil)
	c.running.Wait()
}

// trigger takes connections, which say everything by being made.
func (c *commandServer) trigger(l net.Listener) {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(100 * time.Millisecond)
			continue
		}
		_ = conn.Close()
		c.look()
	}
}

// read takes datagrams.
func (c *commandServer) read(socket net.PacketConn) {
	buffer, control := make([]byte, commandMost+1), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		var n, controls int
		var from net.Addr
		var err error
		datagrams, local := socket.(*net.UnixConn)
		if local {
			n, controls, _, _, err = datagrams.ReadMsgUnix(buffer, control)
		} else {
			n, from, err = socket.ReadFrom(buffer)
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(100 * time.Millisecond)
			continue
		}
		who := fmt.Sprint(from)
		if local {
			if who, err = mayCommand(control[:controls]); err != nil {
				c.log.Warn("a command was refused", "err", err)
				continue
			}
		}
		command, err := parseCommand(buffer[:n])
		if err != nil {
			c.log.Warn("want a command of uWSGI (a header of 4 bytes, then keys and values in the uwsgi protocol), got something else", "from", who, "err", err)
			continue
		}
		c.log.Info("command", "cmd", command["cmd"], "to", command["vassal"], "from", who)
		c.carry(command)
	}
}

// mayCommand tells who has sent a datagram, and an error if it is neither root nor our
// own user.
func mayCommand(control []byte) (who string, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 {
		return "", errors.New("the kernel does not say who has sent it")
	}
	sender, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return "", errors.New("the kernel does not say who has sent it")
	}
	who = fmt.Sprintf("uid %d, pid %d", sender.Uid, sender.Pid)
	if sender.Uid != 0 && int(sender.Uid) != os.Geteuid() {
		return who, fmt.Errorf("only root and user %d may send commands, not %s", os.Geteuid(), who)
	}
	return who, nil
}

// parseCommand reads a datagram: four bytes that mean nothing, then pairs of texts, each
// with its length before it. "command" is another word for "cmd".
func parseCommand(b []byte) (map[string]string, error) {
	if len(b) < 4 || len(b) > commandMost {
		return nil, fmt.Errorf("%d bytes", len(b))
	}
	command := map[string]string{}
	text := func() (string, bool) {
		if len(b) < 2 || int(binary.LittleEndian.Uint16(b)) > len(b)-2 {
			return "", false
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		s := string(b[2:n])
		b = b[n:]
		return s, true
	}
	for b = b[4:]; len(b) > 0; {
		key, ok := text()
		value, also := text()
		if !ok || !also {
			return nil, errors.New("a length points behind its end")
		}
		if key == "command" {
			key = "cmd"
		}
		command[key] = value
	}
	return command, nil
}

// carryOut does what a command says.
func (e *Emperor) carryOut(command map[string]string) {
	orders := map[string]vassal.Order{"spawn": vassal.OrderStart, "respawn": vassal.OrderReload, "stop": vassal.OrderStop}
	order, known := orders[command["cmd"]]
	switch {
	case command["cmd"] == "log":
		e.log.Info(command["msg"])
		return
	case !known:
		e.log.Warn("unknown command: want spawn, respawn, stop or log", "cmd", command["cmd"])
		return
	}
	v := e.view.Load()
	vassals := make([]control.VassalStatus, 0, len(v.names))
	for _, name := range v.names {
		vassals = append(vassals, control.VassalStatus{Name: name, File: v.vassals[name].item.Path})
	}
	name, err := control.Resolve(command["vassal"], vassals)
	if err != nil {
		e.log.Error("the command was not carried out", "err", err)
		return
	}
	e.order(v.vassals[name].site, order)
}
