package acme

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// result is what came of a job.
type result struct {
	pair    *pair     // what there is now; nil: as before
	renew   time.Time // when it is to be replaced; zero: as before
	consult time.Time // when the authority is to be asked about that
	err     error     // why there is no new one
	next    time.Time // with err: when to try again
	sent    bool      // an order was sent
	blocked bool      // none was, for a reason that may go away at any time
	gone    bool      // what there was is not there any more
}

// order has a certificate issued. from is the beginning of the one that is to be
// replaced; zero: there is none.
func (m *Manager) order(ctx context.Context, shop *shop, name string, from time.Time) result {
	now := m.options.Now()
	fail := func(err error) result {
		return result{err: err, next: m.options.Now().Add(lookAgain), blocked: true}
	}
	if err := m.served(shop, name); err != nil {
		return fail(err)
	}
	if IsPublic(shop.issuance.CA) && !Public(name) {
		return fail(errors.New("no public authority has a certificate for such a name"))
	}
	if len(shop.issuance.Challenges) == 0 {
		return fail(errors.New("there is no listener where the authority could look"))
	}
	if !from.IsZero() && !shop.spells(name) && !shop.issuance.Allowed(name) {
		if err := m.asking.ask(ctx, shop.issuance.Ask, name, now); err != nil {
			return fail(err)
		}
	}
	stock := shop.stock
	if err := stock.prepare(); err != nil {
		return fail(err)
	}
	old, oldErr := stock.load(ctx, name)
	if oldErr == nil && !old.leaf.NotBefore.Equal(from) && renewal(old.leaf.NotBefore, old.leaf.NotAfter).After(now) {
		return result{pair: old} // another emperor was faster
	}
	until, err := stock.enter(ctx, name, shop.issuance.MostOrders, now)
	if err != nil {
		return result{err: err, next: until}
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	if oldErr == nil && stock.advised(name, old.leaf) {
		ctx = context.WithValue(ctx, replaces{}, old.leaf)
	}
	// What is there but broken is replaced, too.
	if oldErr == nil || !errors.Is(oldErr, fs.ErrNotExist) {
		err = stock.config.RenewCertSync(ctx, name, true)
	} else {
		err = stock.config.ObtainCertSync(ctx, name)
	}
	err = plain(err)
	// The program's own end must not keep the ledger from hearing of it.
	noting, cancelNoting := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancelNoting()
	interrupted := errors.Is(ctx.Err(), context.Canceled)
	until, noteErr := stock.leave(noting, name, m.options.Now(), err, interrupted)
	if noteErr != nil {
		m.options.Log.Error("the ledger of orders cannot be written", "err", noteErr)
	}
	if err != nil {
		return result{err: err, next: until, sent: !interrupted}
	}
	p, err := stock.load(noting, name)
	if err != nil {
		return result{err: err, next: until, sent: true}
	}
	return result{pair: p}
}

// plain takes an error out of what libraries wrap around it.
func plain(err error) error {
	var problem acme.Problem
	if !errors.As(err, &problem) {
		return err
	}
	// The type is for programs: urn:ietf:params:acme:error:dns.
	text := problem.Detail
	for _, sub := range problem.Subproblems {
		text += "; " + sub.Detail
	}
	return &refusal{limited: problem.Type == acme.ProblemTypeRateLimited, text: fmt.Sprintf("the authority says: %s (%s)", text, lastPart(problem.Type))}
}

// refusal is what an authority said.
type refusal struct {
	limited bool
	text    string
}

func (r *refusal) Error() string { return r.text }

// consult asks the authority when a certificate is to be renewed (RFC 9773): it knows
// of a revocation, and spreads its load.
func (m *Manager) consult(ctx context.Context, shop *shop, name string) result {
	now := m.options.Now()
	p, err := shop.stock.load(ctx, name)
	if err != nil {
		return result{err: err, next: now, gone: true}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	at, again, err := shop.stock.advice(ctx, name, p.leaf, now)
	if err != nil {
		return result{pair: p, consult: now.Add(time.Hour)} // until then it goes by its age
	}
	return result{pair: p, renew: at, consult: again}
}
