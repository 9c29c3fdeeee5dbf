package emperor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"emperor/emperor/acme"
	"emperor/internal/link"
)

// newIssuer makes what orders certificates. It does nothing before issue.
func (e *Emperor) newIssuer() *acme.Manager {
	return acme.New(acme.Options{
		Log:   e.log,
		Prove: e.front.prove,
		Changed: func(name string) {
			e.front.tell(link.Message{Kind: link.Changed, Paths: []string{link.IssuedPath(name)}})
		},
		There: e.front.there,
	})
}

// issue says which certificates are wanted by what holds now, once the front is open:
// an authority has to find us.
func (e *Emperor) issue() {
	issuance, err := e.main.Issuance()
	if err != nil {
		e.log.Error("no certificate is ordered", "err", err)
	}
	e.acme.Configure(issuance)
}

// Issuance is which certificates are to be ordered; nil: none.
func (m *Main) Issuance() (*link.Issuance, error) {
	if m.issuance == nil {
		return nil, nil
	}
	i := m.issuance(&m.Front)
	if i == nil {
		return nil, nil
	}
	if i.Directory != "" {
		i.Directory = m.absolute(i.Directory)
		return i, nil
	}
	var err error
	if i.Directory, err = acme.DefaultDirectory(m.getenv, os.Geteuid()); err != nil {
		return nil, err
	}
	return i, nil
}

// getenv is a variable of the environment that the main file is read with.
func (m *Main) getenv(name string) string {
	for _, one := range slices.Backward(m.Source.Env) {
		if value, ok := strings.CutPrefix(one, name+"="); ok {
			return value
		}
	}
	return ""
}

// prove has the routers answer exactly these challenges. Those that start later are
// told when they do.
func (f *front) prove(ctx context.Context, all []link.Challenge) error {
	f.proving.Lock()
	defer f.proving.Unlock()
	f.mu.Lock()
	f.challenges = all
	routers := slices.Clone(f.routers)
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return callAll(ctx, routers, link.Message{Kind: link.Prove, Challenges: all})
}

// proveTo tells a new router what there is to be answered. It is among the routers
// already, so what changes meanwhile reaches it after this.
func (f *front) proveTo(ctx context.Context, router caller) error {
	f.proving.Lock()
	defer f.proving.Unlock()
	f.mu.Lock()
	all := f.challenges
	f.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	return router.Call(ctx, link.Message{Kind: link.Prove, Challenges: all})
}

// there tells why nobody is where requests for a host go; nil: somebody is, though
// perhaps asleep.
func (f *front) there(to link.Served) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case to.Vassal != "":
		if _, ok := f.rows[to.Vassal]; !ok {
			return fmt.Errorf("there is no vassal %s", to.Vassal)
		}
		return nil
	case to.Address == "":
		return nil // the front answers by itself
	}
	for address := range strings.SplitSeq(to.Address, "|") {
		if !strings.HasPrefix(address, "/") {
			return nil // another machine, or a port: who knows
		}
		for _, row := range f.rows {
			if slices.ContainsFunc(row.Addresses, func(a link.Address) bool { return a.Address == address }) {
				return nil
			}
		}
		if info, err := os.Stat(address); err == nil && info.Mode().Type() == os.ModeSocket {
			return nil
		}
	}
	return errors.New("nobody has the socket " + to.Address)
}
