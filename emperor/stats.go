package emperor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"emperor/internal/config"
)

const (
	// statsTime is how long a reader of the stats may take.
	statsTime = 5 * time.Second
	// statsReaders is how many are served at a time; who comes on top is sent away.
	statsReaders = 64
)

// statsOptions are the stats server of uWSGI's emperor.
var statsOptions = []config.Option{
	{Name: "emperor-stats", Aliases: []string{"emperor-stats-server"}, Type: config.String, Repeat: true, Where: config.Main,
		Help: "Listen at this address (host:port, a path, @abstract) and send whoever connects the state of all vassals as JSON, with the keys of uWSGI's emperor and some more."},
	{Name: "stats", Aliases: []string{"stats-server"}, Type: config.String, Repeat: true, Where: config.Main,
		Help: "As emperor-stats, in a main file that names vassals. (In a vassal's file, and that of one app, uWSGI listens there.)"},
	{Name: "stats-minified", Aliases: []string{"stats-min"}, Type: config.Flag, Argument: config.Optional, Where: config.Main,
		Help: "The stats have no line ends and tabs."},
}

// statsWanted is what the main file says of stats.
type statsWanted struct {
	addresses []statsAddress
	http      bool
	minified  bool
	mode      fs.FileMode
}

type statsAddress struct {
	network, text string
	value         config.Value
}

// readStats reads what the main file says of stats. With one app uWSGI has its own, and
// only emperor-stats are ours.
func (m *Main) readStats(problems *config.Problems) {
	names := []string{"emperor-stats"}
	if m.App == nil {
		names = append(names, "stats")
		m.stats.http, m.stats.minified = m.Config.Bool("stats-http"), m.Config.Bool("stats-minified")
	}
	m.stats.mode = 0o600
	if mode, ok := m.Config.Mode("chmod-socket"); ok {
		m.stats.mode = mode.Perm()
	}
	for _, v := range m.Config.All(names...) {
		network, text, err := m.plainAddress(v.Value)
		if err != nil {
			*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error()})
			continue
		}
		m.stats.addresses = append(m.stats.addresses, statsAddress{network, text, v})
	}
}

// plainAddress reads the address of a socket as uWSGI does: with a colon it is TCP,
// otherwise a path, which may be relative.
func (m *Main) plainAddress(text string) (network, address string, err error) {
	if text != "" && !strings.Contains(text, ":") && !strings.HasPrefix(text, "@") && strings.Trim(text, "0123456789") != "" {
		text = m.absolute(text)
	}
	e, err := parseStream(text)
	if err == nil && e.network == "fd" {
		err = errors.New("want host:port, a path or @abstract")
	}
	return e.network, text, err
}

// statsServer sends the stats to whoever connects: one connection, one document, as
// uWSGI does. What it sends is made of published snapshots, so a reader, however slow,
// keeps nobody waiting.
type statsServer struct {
	log     *slog.Logger
	dump    func() object
	readers chan struct{}

	ending context.Context // lets readers go
	end    context.CancelFunc

	mu      sync.Mutex // guards what follows
	open    map[string]*statsListener
	running sync.WaitGroup
}

// statsListener is one address.
type statsListener struct {
	net.Listener
	mu     sync.Mutex
	wanted statsWanted // guarded by mu
}

func newStatsServer(dump func() object, log *slog.Logger) *statsServer {
	s := &statsServer{log: log, dump: dump, readers: make(chan struct{}, statsReaders), open: map[string]*statsListener{}}
	s.ending, s.end = context.WithCancel(context.Background())
	return s
}

// prepare opens the sockets that are not open yet; nobody is served before settle, and
// discard takes them back. On an error nothing has changed.
func (s *statsServer) prepare(w statsWanted) (fresh map[string]net.Listener, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh = map[string]net.Listener{}
	for _, a := range w.addresses {
		if s.open[a.text] != nil || fresh[a.text] != nil {
			continue
		}
		l, err := listenPlain(a.network, a.text, w.mode)
		if err != nil {
			discard(fresh)
			return nil, config.Problem{Pos: a.value.Pos, Key: a.value.Key, Text: a.text + ": " + err.Error()}
		}
		fresh[a.text] = l
	}
	return fresh, nil
}

func discard(fresh map[string]net.Listener) {
	for _, l := range fresh {
		_ = l.Close()
	}
}

// listenPlain opens a socket of ours that is not handed to anybody.
func listenPlain(network, text string, mode fs.FileMode) (net.Listener, error) {
	if network == "unix" {
		if err := clearPath(network, text); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(network, text)
	if err != nil {
		host, port, _ := net.SplitHostPort(text)
		return nil, explainListen(err, endpoint{network: network, text: text, host: host, port: port})
	}
	if network == "unix" && !strings.HasPrefix(text, "@") {
		if err := os.Chmod(text, mode); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	return l, nil
}

// settle serves what prepare has opened, and closes what is wanted no more.
func (s *statsServer) settle(w statsWanted, fresh map[string]net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := map[string]bool{}
	for _, a := range w.addresses {
		wanted[a.text] = true
		if l := s.open[a.text]; l != nil {
			l.mu.Lock()
			l.wanted = w
			l.mu.Unlock()
		} else {
			l := &statsListener{Listener: fresh[a.text], wanted: w}
			s.open[a.text] = l
			s.running.Go(func() { s.serve(l) })
			s.log.Info("stats", "option", a.value.Key, "address", a.text)
		}
	}
	for text, l := range s.open {
		if !wanted[text] {
			delete(s.open, text)
			_ = l.Close()
		}
	}
}

// close ends everything and waits for it.
func (s *statsServer) close() {
	s.settle(statsWanted{}, nil)
	s.end()
	s.running.Wait()
}

func (s *statsServer) serve(l *statsListener) {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no more descriptors, say; it passes
			time.Sleep(100 * time.Millisecond)
			continue
		}
		select {
		case s.readers <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		l.mu.Lock()
		wanted := l.wanted
		l.mu.Unlock()
		s.running.Go(func() {
			defer func() { <-s.readers }()
			defer conn.Close()
			s.send(conn, wanted)
		})
	}
}

// send is one reader's document.
func (s *statsServer) send(conn net.Conn, w statsWanted) {
	_ = conn.SetDeadline(time.Now().Add(statsTime))
	defer context.AfterFunc(s.ending, func() { _ = conn.Close() })()
	text := statsText(s.dump(), w.minified)
	if w.http {
		// The request, whatever it is: what is unread when we close would be our answer's end.
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return
		}
		text = append([]byte("HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\r\n"), text...)
	}
	if _, err := conn.Write(text); err != nil {
		s.log.Debug("a reader of the stats went away", "err", err)
	}
}

// stats is the document: uWSGI's keys first, in their order, then ours.
func (e *Emperor) statsDocument() object {
	v := e.view.Load()
	s := e.Status()
	past := e.chronicle.past()
	dir, _ := os.Getwd()
	o := object{}.with("version", e.program.Version).with("pid", int64(os.Getpid())).
		with("uid", int64(os.Getuid())).with("gid", int64(os.Getgid())).with("cwd", dir).
		with("emperor", v.main.monitorNames()).with("emperor_tyrant", flag(v.main.Config.Bool("emperor-tyrant"))).
		with("throttle_level", int64(0))
	vassals, blacklist := []object{}, []object{}
	for i := range s.Vassals {
		one, life := v.vassals[s.Vassals[i].Name], past[s.Vassals[i].Name]
		vassals = append(vassals, statsOfVassal(v.main, one, &s.Vassals[i], life))
		if life.failures > 0 && life.onProbation() {
			delay := int64(0)
			if retry := life.status.RetryAt; !retry.IsZero() {
				delay = max(1, retry.Sub(life.lastFailure).Milliseconds())
			}
			blacklist = append(blacklist, object{}.with("id", v.main.idOf(one.item)).with("throttle_level", delay).
				with("attempt", int64(life.failures)).with("first_attempt", seconds(life.firstFailure)).with("last_attempt", seconds(life.lastFailure)))
		}
	}
	o = o.with("vassals", vassals).with("blacklist", blacklist).
		with("since", seconds(s.Since)).with("config", s.Config).with("problems", append([]string{}, s.Problems...))
	if r := s.Router; r != nil {
		o = o.with("router", object{}.with("pid", int64(r.PID)).with("state", r.State).with("since", seconds(r.Since)).
			with("restarts", int64(r.Restarts)).with("requests", int64(r.Requests)).with("listeners", append([]string{}, r.Listeners...)))
	}
	return o
}
