package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Upgrade is what the answer to an upgrade says.
type Upgrade struct {
	// Before and Version are the two versions, PID is the emperor's, before and after.
	Before  string `json:"before"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// Kept is how many vassals went on without noticing. Restarted are those that could
	// not be taken over and were started anew, Problem is what did not work out beside.
	Kept      int      `json:"kept"`
	Restarted []string `json:"restarted,omitempty"`
	Problem   string   `json:"problem,omitempty"`
}

// Adopt makes a Server of the socket that an earlier binary of this emperor has bound.
// The descriptor stays open under its number until Run, should that binary have to go on.
func Adopt(fd int, path string, e Emperor, log *slog.Logger) (*Server, error) {
	file := os.NewFile(uintptr(fd), path)
	if file == nil {
		return nil, fmt.Errorf("control socket: no descriptor %d", fd)
	}
	l, err := net.FileListener(file) // duplicates
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	listener, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, fmt.Errorf("control socket %s: descriptor %d is something else", path, fd)
	}
	listener.SetUnlinkOnClose(false)
	made, err := os.Lstat(path)
	if err != nil {
		made = nil // somebody took its file away: nobody can reach us any more
	}
	return &Server{emperor: e, log: log, socket: &socket{UnixListener: listener, path: path, made: made, original: file}, own: os.Geteuid()}, nil
}

// Pause makes clients wait in the kernel, and returns the socket's descriptor, which
// stays the Server's, until Resume. Run must be running.
func (s *Server) Pause() (fd int) {
	s.socket.accepting.Stop(listenerDeadline{s.socket.UnixListener})
	fd = -1
	if raw, err := s.socket.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

// Resume lets clients in again.
func (s *Server) Resume() { s.socket.accepting.Go(listenerDeadline{s.socket.UnixListener}) }

// upgrade answers POST /upgrade. Whoever asked gets the answer from the binary that is
// running then: the connection is taken out of the server's hands.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	binary := r.URL.Query().Get("binary")
	patience, err := time.ParseDuration(r.URL.Query().Get("patience"))
	if err != nil || patience <= 0 {
		patience = Patience
	}
	p, _ := r.Context().Value(peerKey{}).(peer)
	s.log.Info("upgrade asked for at the control socket", "binary", binary, "uid", p.uid)
	s.answerLater(w, func(answer int) error { return s.emperor.Upgrade(r.Context(), binary, patience, answer) })
}

// reload answers POST /reload, which becomes an upgrade if there is another binary.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	p, _ := r.Context().Value(peerKey{}).(peer)
	s.log.Info("reading the main file again is asked for at the control socket", "uid", p.uid)
	s.answerLater(w, func(answer int) error { return s.emperor.ReloadMain(r.Context(), answer) })
}

// answerLater gives the connection to what may be answered by another binary. If it
// returns it is answered here.
func (s *Server) answerLater(w http.ResponseWriter, carryOut func(answer int) error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		answerError(w, http.StatusInternalServerError, err, nil)
		return
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	fd := -1
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	if err == nil {
		err = carryOut(fd)
	}
	_, _ = conn.Write(upgradeAnswer(Upgrade{}, err))
}

// AnswerUpgrade tells who asked for an upgrade what came of it, and closes the
// connection.
func AnswerUpgrade(fd int, u Upgrade, err error) {
	_ = syscall.SetNonblock(fd, false)
	for text := upgradeAnswer(u, err); len(text) > 0; {
		n, err := syscall.SendmsgN(fd, text, nil, nil, syscall.MSG_NOSIGNAL)
		if err != nil && err != syscall.EINTR {
			break // who asked has gone
		}
		text = text[max(n, 0):]
	}
	_ = syscall.Close(fd)
}

// upgradeAnswer is the whole answer as HTTP has it.
func upgradeAnswer(u Upgrade, err error) []byte {
	var body []byte
	status := http.StatusOK
	if err != nil {
		status = http.StatusConflict
		body, _ = json.Marshal(failure{Error: err.Error()})
	} else {
		body, _ = json.Marshal(u)
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
}

// Accept is net.Listener's, and can be made to stand still.
func (s *socket) Accept() (net.Conn, error) {
	for {
		c, err := s.UnixListener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) && s.accepting.Parked() {
			continue
		}
		if err != nil {
			s.accepting.End()
		}
		return c, err
	}
}

// listenerDeadline is a listener as package pause wants it.
type listenerDeadline struct{ *net.UnixListener }

// SetReadDeadline ends an Accept.
func (l listenerDeadline) SetReadDeadline(t time.Time) error { return l.SetDeadline(t) }
