package resolve

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
)

// ErrNotFound: there is no such name, or it has no address.
var ErrNotFound = errors.New("no such host")

// Resolver answers from what it knows and asks in the background. All methods
// may be called by any goroutine. Run has to run.
type Resolver struct{}

// New returns a Resolver that knows nothing yet.
func New(c Config, log *slog.Logger) *Resolver { return &Resolver{} }

// Run asks the servers for what is wanted, until ctx ends.
func (r *Resolver) Run(ctx context.Context) { <-ctx.Done() }

// Configure replaces the configuration. Answers stay until their TTL ends.
func (r *Resolver) Configure(c Config) {}

// Addresses returns what host stands for, best first, or why that is not known,
// at once. The caller must not change it; the next call may give another order,
// so that the addresses take turns. If nothing is known yet it returns only a
// channel that is closed when something is: ask again then.
func (r *Resolver) Addresses(host string) (addresses []netip.Addr, pending <-chan struct{}, err error) {
	return nil, nil, ErrNotFound
}

// Lookup is Addresses, but waits.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return nil, ErrNotFound
}

// Poke says that a connection to the address of host could not be made: for a
// while it is named last, and the servers are asked again now.
func (r *Resolver) Poke(host string, failed netip.Addr) {}
