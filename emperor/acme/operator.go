package acme

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Order orders a certificate, or a new one, at once: an operator, who has put right
// what was wrong, does not wait for what failures have put off. The limits of the
// ledger hold for him too. It returns when the order has ended; when ctx ends, it
// goes on.
func (m *Manager) Order(ctx context.Context, name string) error {
	h, shop, err := m.idle(ctx, name)
	if err != nil {
		return err
	}
	if err := shop.stock.pardon(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	if m.ended || m.names[name] != h || h.job {
		m.mu.Unlock()
		return errors.New("something else has just happened to it; try again")
	}
	h.next, h.trouble = m.options.Now(), ""
	if h.has() {
		h.renew = h.next
	}
	done := h.wait()
	m.mu.Unlock()
	m.stir()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if h.trouble == "" {
		return nil
	}
	if h.has() { // it is as good as before
		h.renew, h.consult = renewal(h.from, h.expires), m.options.Now().Add(time.Hour)
	}
	return errors.New(h.trouble)
}

// idle waits until nothing is done for the name.
func (m *Manager) idle(ctx context.Context, name string) (*holding, *shop, error) {
	for {
		m.mu.Lock()
		shop, h := m.shop, m.names[name]
		var done <-chan struct{}
		if h != nil && h.job {
			done = h.wait()
		}
		m.mu.Unlock()
		switch {
		case shop == nil:
			return nil, nil, errors.New("acme is off")
		case h == nil:
			return nil, nil, fmt.Errorf("%s is not among the hosts that certificates are ordered for", name)
		case done == nil:
			return h, shop, nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}
