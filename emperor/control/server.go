package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	headTime   = 5 * time.Second  // to send a request's head; a person's tools need milliseconds
	writeTime  = 30 * time.Second // for a log reader to take one line, before it is dropped
	idleTime   = 30 * time.Second // for a kept connection
	finishTime = 2 * time.Second  // for requests under way when the emperor ends
	largestReq = 16 << 10         // bytes of a request's head
)

// Server answers on one control socket. Make it with New, then call Run once.
type Server struct {
	emperor Emperor
	log     *slog.Logger
	socket  *socket
	own     int // our user

	// under is held for reading by each request under way, so that Run can wait for
	// them (http.Server does not), and guards ended.
	under sync.RWMutex
	ended bool
}

// New binds the socket at path (see Path), which only the own user and root may use.
// A socket there that nobody answers is replaced; one that is answered, or a file of
// another kind, is an error that names it. A missing directory is made under /run and
// /tmp. From New on clients can connect; they are answered once Run is called. Call
// Close instead if it never will be.
func New(path string, e Emperor, log *slog.Logger) (*Server, error) {
	s, err := bind(path)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{emperor: e, log: log, socket: s, own: os.Geteuid()}, nil
}

// Path is where the server listens, absolute.
func (s *Server) Path() string { return s.socket.path }

// Close gives up the socket without Run.
func (s *Server) Close() error { return s.socket.close() }

// Run answers until ctx ends and returns when every request has ended and the
// socket's file is gone. Requests under way have two seconds to finish; log readers
// are let go at once.
func (s *Server) Run(ctx context.Context) error {
	requests, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	server := &http.Server{
		Handler:           s.count(s.guard(s.routes())),
		ReadHeaderTimeout: headTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    largestReq,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.socket.original != nil {
		_ = s.socket.original.Close()
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.socket) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		err = fmt.Errorf("control socket %s: %w", s.socket.path, err)
	}
	err = errors.Join(err, ignoreClosed(s.socket.close()))
	letGo()
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	if server.Shutdown(finish) != nil {
		server.Close()
	}
	s.under.Lock()
	s.ended = true
	s.under.Unlock()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// peer is what withPeer learned of a connection.
type peer struct {
	uid int
	err error
}

type peerKey struct{}

func withPeer(ctx context.Context, c net.Conn) context.Context {
	_, uid, err := peerOf(c)
	return context.WithValue(ctx, peerKey{}, peer{uid, err})
}

// guard lets in root and our own user. The socket's mode says the same; it is the
// credentials that hold when somebody changes the mode.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := r.Context().Value(peerKey{}).(peer)
		err := p.err
		if err == nil {
			err = mayOrder(s.own, p.uid)
		}
		if err != nil {
			s.log.Warn("a control request was refused", "err", err)
			answerError(w, http.StatusForbidden, err, nil)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// count lets Run wait for the handlers.
func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.under.RLock()
		defer s.under.RUnlock()
		if !s.ended {
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		status := s.emperor.Status()
		if status.Vassals == nil {
			status.Vassals = []VassalStatus{} // [] and not null
		}
		answer(w, http.StatusOK, status)
	})
	mux.HandleFunc("GET /certificates", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, Certificates{Certificates: append([]Certificate{}, s.emperor.Certificates()...)})
	})
	mux.HandleFunc("POST /certificates/{name}/order", func(w http.ResponseWriter, r *http.Request) {
		p, _ := r.Context().Value(peerKey{}).(peer)
		name := r.PathValue("name")
		s.log.Info("order of a certificate from the control socket", "name", name, "uid", p.uid)
		if err := s.emperor.OrderCertificate(r.Context(), name); err != nil {
			answerError(w, http.StatusConflict, err, nil)
			return
		}
		answer(w, http.StatusOK, struct{}{})
	})
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("POST /upgrade", s.upgrade)
	mux.HandleFunc("POST /reload", s.reload)
	mux.HandleFunc("GET /vassals/{name}", s.named(func(w http.ResponseWriter, r *http.Request, name string) {
		if v, ok := s.emperor.Vassal(name); ok {
			answer(w, http.StatusOK, v)
			return
		}
		answerError(w, http.StatusNotFound, errRemoved(name), nil)
	}))
	mux.HandleFunc("GET /vassals/{name}/logs", s.named(s.logs))
	mux.HandleFunc("POST /logs/{order}", func(w http.ResponseWriter, r *http.Request) { s.orderLogs(w, r, "") })
	mux.HandleFunc("POST /vassals/{name}/logs/{order}", s.named(s.orderLogs))
	mux.HandleFunc("POST /vassals/{name}/{order}", s.named(s.order))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answerError(w, http.StatusNotFound, fmt.Errorf("no request %s %s; want GET /status, GET /events, GET /certificates, GET /vassals/NAME, "+
			"GET /vassals/NAME/logs, POST /upgrade, POST /reload, or POST /vassals/NAME/ with %s", r.Method, r.URL.Path, orderWords), nil)
	})
	return mux
}

func errRemoved(name string) error { return fmt.Errorf("vassal %q is gone", name) }

// named settles which vassal the request's name stands for.
func (s *Server) named(next func(w http.ResponseWriter, r *http.Request, name string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, err := Resolve(r.PathValue("name"), s.emperor.Status().Vassals)
		if err != nil {
			code := http.StatusNotFound
			var wrong *NameError
			if errors.As(err, &wrong) && wrong.Ambiguous {
				code = http.StatusConflict
			}
			answerError(w, code, err, nil)
			return
		}
		next(w, r, name)
	}
}

func (s *Server) order(w http.ResponseWriter, r *http.Request, name string) {
	order := Order(r.PathValue("order"))
	if !slices.Contains(Orders, order) {
		answerError(w, http.StatusNotFound, fmt.Errorf("no order %q; want %s", order, orderWords), nil)
		return
	}
	p, _ := r.Context().Value(peerKey{}).(peer)
	s.log.Info("order from the control socket", "vassal", name, "order", string(order), "uid", p.uid)
	err := s.emperor.Order(r.Context(), name, order)
	v, ok := s.emperor.Vassal(name)
	switch {
	case err != nil && ok:
		answerError(w, http.StatusConflict, err, &v)
	case err != nil:
		answerError(w, http.StatusConflict, err, nil)
	case !ok:
		answerError(w, http.StatusNotFound, errRemoved(name), nil)
	default:
		answer(w, http.StatusOK, v)
	}
}

// orderLogs has log files opened anew or rotated: one vassal's, or all.
func (s *Server) orderLogs(w http.ResponseWriter, r *http.Request, name string) {
	order := r.PathValue("order")
	if order != ReopenLogs && order != RotateLogs {
		answerError(w, http.StatusNotFound, fmt.Errorf("no order %q; want %s or %s", order, ReopenLogs, RotateLogs), nil)
		return
	}
	p, _ := r.Context().Value(peerKey{}).(peer)
	s.log.Info("order about logs from the control socket", "vassal", name, "order", order, "uid", p.uid)
	if err := s.emperor.OrderLogs(r.Context(), name, order == RotateLogs); err != nil {
		answerError(w, http.StatusConflict, err, nil)
		return
	}
	answer(w, http.StatusOK, struct{}{})
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request, name string) {
	following := isFollowing(r)
	sendLines(w, following, s.emperor.Logs(r.Context(), name, following))
}

// failure is the body of every answer from status 400 on.
type failure struct {
	Error string   `json:"error"`
	Near  []string `json:"near,omitempty"`
	// Vassal is the state after an order that failed.
	Vassal *VassalStatus `json:"vassal,omitempty"`
}

func answerError(w http.ResponseWriter, code int, err error, v *VassalStatus) {
	f := failure{Error: err.Error(), Vassal: v}
	var wrong *NameError
	if errors.As(err, &wrong) {
		f.Near = wrong.Near
	}
	answer(w, code, f)
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// An error here is the client's going away; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}
