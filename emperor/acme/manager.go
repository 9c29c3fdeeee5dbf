package acme

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"emperor/internal/link"
)

const (
	mostJobs  = 4               // orders at a time
	orderTime = 3 * time.Minute // for one
	// lookAgain is when what was in an order's way, outside of it, is looked at again.
	lookAgain = 30 * time.Second
	// mostUnknown bounds the names without a certificate that clients came up with.
	mostUnknown = 1000
)

// Options are what a Manager needs of others.
type Options struct {
	Log *slog.Logger
	// Prove makes the front answer exactly these challenges from now on.
	Prove func(ctx context.Context, all []link.Challenge) error
	// Changed is told that the certificate of a name is another than before.
	Changed func(name string)
	// There tells why what serves a host is not there; nil: it is.
	There func(link.Served) error
	// Now is time.Now, unless a test has another clock.
	Now func() time.Time
}

// Manager has the certificates. Make it with New, call Run once; all other methods
// may be called from any goroutine and at any time.
type Manager struct {
	options Options
	prover  prover
	asking  asking
	wake    chan struct{} // holds one: there may be something to do
	jobs    sync.WaitGroup

	mu      sync.Mutex
	shop    *shop               // guarded by mu; where certificates are had; nil: nowhere
	library *library            // guarded by mu; nil before the first shop
	names   map[string]*holding // guarded by mu
	running int                 // guarded by mu; jobs
	blocked bool                // guarded by mu; some order waits for what is not there
	ended   bool                // guarded by mu; nothing is ordered any more
	said    string              // guarded by mu; the last reason for not ordering
}

// holding is what is known of one name. Its fields are guarded by Manager.mu.
type holding struct {
	name    string
	spelled bool // by a rule: ordered before anybody asks
	looked  bool // on disk

	from, expires time.Time // of the certificate; zero: there is none
	renew         time.Time // when the certificate is to be replaced
	consult       time.Time // when the authority is to be asked about that

	next    time.Time     // nothing is ordered before
	trouble string        // why there is no certificate, or no new one
	blocked bool          // trouble is that nobody is there who serves it, or the like
	job     bool          // an order is under way
	done    chan struct{} // closed when it has ended; nil: nobody waits
}

func (h *holding) has() bool { return !h.expires.IsZero() }

// New makes a Manager that has nothing to do before Configure.
func New(o Options) *Manager {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Manager{options: o, wake: make(chan struct{}, 1), names: map[string]*holding{}}
	m.prover.prove = o.Prove
	return m
}

// Configure says what there is to do from now on; nil: nothing. It returns at once.
func (m *Manager) Configure(issuance *link.Issuance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.stir()
	if issuance == nil {
		m.shop, m.names = nil, map[string]*holding{}
		return
	}
	if m.library == nil {
		m.library = newLibrary()
	}
	next := &shop{issuance: issuance}
	if m.shop != nil && m.shop.stock.fits(issuance) {
		next.stock = m.shop.stock
	} else {
		next.stock = newStock(issuance, m.library, &m.prover)
		m.names = map[string]*holding{}
	}
	m.shop = next
	m.asking.forget()
	for _, h := range m.names {
		h.spelled = false
	}
	for _, name := range issuance.Names {
		h := m.names[name]
		if h == nil {
			h = &holding{name: name}
			m.names[name] = h
		}
		h.spelled = true
	}
	for name, h := range m.names {
		// Certificates that clients have asked for are in use, and to be renewed. Names
		// that have none are asked for again.
		_, served := issuance.Serve(name)
		if !h.spelled && !h.job && (!h.has() || !served || issuance.Ask == "" && !issuance.Allowed(name)) {
			h.answer()
			delete(m.names, name)
		}
	}
}

// Recheck looks at once at what waited for a vassal.
func (m *Manager) Recheck() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.blocked {
		return
	}
	m.blocked = false
	for _, h := range m.names {
		if h.blocked {
			h.blocked, h.next = false, time.Time{}
		}
	}
	m.stir()
}

func (m *Manager) stir() {
	select {
	case m.wake <- struct{}{}:
	default: // Run has not looked since the last one
	}
}

// Run orders and renews until ctx ends, and returns when nothing is under way.
func (m *Manager) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer m.end()
	for {
		m.look(ctx)
		timer.Reset(max(m.begin(ctx), time.Millisecond))
		select {
		case <-m.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manager) end() {
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	m.jobs.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.names {
		h.answer()
	}
	if m.library != nil {
		m.library.close()
	}
}

// look finds out what is on disk for names that are new.
func (m *Manager) look(ctx context.Context) {
	m.mu.Lock()
	shop := m.shop
	var names []string
	for _, h := range m.names {
		if !h.looked {
			names = append(names, h.name)
		}
	}
	m.mu.Unlock()
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	ledger, err := shop.stock.ledger(ctx)
	if err != nil {
		m.options.Log.Error("what was ordered before is not known; nothing is ordered until it is", "err", err)
	}
	for _, name := range names {
		p, loadErr := shop.stock.load(ctx, name)
		m.mu.Lock()
		if h := m.names[name]; h != nil && m.shop == shop {
			if loadErr == nil {
				h.take(p)
			} else if !errors.Is(loadErr, fs.ErrNotExist) {
				m.options.Log.Error("a certificate on disk cannot be used; it is ordered anew", "name", name, "err", loadErr)
			}
			if r := ledger.Names[name]; r != nil {
				h.next, h.trouble = r.Next, r.Trouble
			}
			h.looked = true
		}
		m.mu.Unlock()
	}
}

// take notes a certificate.
func (h *holding) take(p *pair) {
	h.from, h.expires = p.leaf.NotBefore, p.leaf.NotAfter
	h.renew, h.consult = renewal(h.from, h.expires), time.Time{}
	h.next, h.trouble = time.Time{}, ""
}

// renewal is when a certificate is to be replaced where the authority does not say:
// after two thirds of its time.
func renewal(from, expires time.Time) time.Time { return expires.Add(-expires.Sub(from) / 3) }

// begin starts what is due, as far as there is room, and returns when something will
// be.
func (m *Manager) begin(ctx context.Context) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	next := now.Add(time.Hour)
	var due []*holding
	for _, h := range m.names {
		if h.job || !h.looked {
			continue
		}
		if at := h.due(); at.After(now) {
			if at.Before(next) {
				next = at
			}
			h.answer() // nobody waits for what is not done now
		} else {
			due = append(due, h)
		}
	}
	// Who has nothing comes before who has something.
	slices.SortFunc(due, func(a, b *holding) int { return a.expires.Compare(b.expires) })
	for _, h := range due {
		if m.running >= mostJobs {
			break // the end of one wakes us
		}
		m.running++
		h.job = true
		shop, name, from := m.shop, h.name, h.from
		consult := h.has() && h.renew.After(now)
		m.jobs.Go(func() { m.work(ctx, shop, name, from, consult) })
	}
	return next.Sub(now)
}

// wait returns what answer closes.
func (h *holding) wait() <-chan struct{} {
	if h.done == nil {
		h.done = make(chan struct{})
	}
	return h.done
}

// answer ends the waiting.
func (h *holding) answer() {
	if h.done != nil {
		close(h.done)
		h.done = nil
	}
}

// due is when there is something to do.
func (h *holding) due() time.Time {
	switch {
	case !h.has():
		return h.next
	case h.next.After(h.renew):
		return h.next
	case h.consult.Before(h.renew):
		return h.consult
	}
	return h.renew
}

// work does what is due for one name.
func (m *Manager) work(ctx context.Context, shop *shop, name string, from time.Time, consult bool) {
	var r result
	switch {
	case consult:
		r = m.consult(ctx, shop, name)
	default:
		r = m.order(ctx, shop, name, from)
	}
	m.mu.Lock()
	m.running--
	h := m.names[name]
	if h == nil || m.shop == nil || m.shop.stock != shop.stock {
		m.mu.Unlock()
		m.stir()
		return
	}
	h.job = false
	before := h.trouble
	changed := r.pair != nil && !(h.expires.Equal(r.pair.leaf.NotAfter) && h.from.Equal(r.pair.leaf.NotBefore))
	if r.pair != nil && (changed || !consult) {
		h.take(r.pair)
	}
	if !r.renew.IsZero() {
		h.renew = r.renew
	}
	h.consult = r.consult
	if r.err != nil {
		h.next, h.trouble, h.blocked = r.next, r.err.Error(), r.blocked
		m.blocked = m.blocked || r.blocked
	}
	if r.gone {
		h.from, h.expires = time.Time{}, time.Time{}
	}
	renew := h.renew
	h.answer()
	m.mu.Unlock()
	if changed {
		m.options.Changed(name)
	}
	switch {
	case r.err != nil && r.sent:
		m.options.Log.Error("a certificate was not issued", "name", name, "ca", shop.stock.key, "err", r.err, "next_try", r.next.Format(time.DateTime))
	case r.err != nil && r.err.Error() != before && ctx.Err() == nil && m.news(r.err):
		m.options.Log.Warn("a certificate is not ordered now", "name", name, "reason", r.err)
	case changed:
		m.options.Log.Info("a certificate was issued", "name", name, "ca", shop.stock.key, "expires", r.pair.leaf.NotAfter.Format(time.DateTime), "renewal", renew.Format(time.DateTime))
	}
	m.stir()
}

// Load returns the certificate and key of a name. While an order is under way it waits
// until ctx ends. The error is fs.ErrNotExist where there is no certificate.
func (m *Manager) Load(ctx context.Context, name string) (*link.Material, error) {
	m.mu.Lock()
	shop, h := m.shop, m.names[name]
	has := h != nil && h.has()
	m.mu.Unlock()
	if shop == nil {
		return nil, missing(name, "acme is off")
	}
	// It may also be there from before, or by another emperor's doing.
	if p, err := shop.stock.load(ctx, name); err == nil {
		if !has {
			m.adopt(shop, name, p)
		}
		return p.material(), nil
	} else if has && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // it is being written
	} else if has {
		m.lost(shop, name)
	}
	if h == nil {
		if err := m.permitted(ctx, shop, name); err != nil {
			return nil, err
		}
	}
	done, err := m.want(shop, name)
	if err != nil {
		return nil, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, missing(name, "it is being ordered")
	}
	p, err := shop.stock.load(ctx, name)
	if err != nil {
		return nil, missing(name, "it was not issued")
	}
	return p.material(), nil
}

// permitted tells why a name that no rule spells is not ordered; nil: it may be.
func (m *Manager) permitted(ctx context.Context, shop *shop, name string) error {
	if err := m.served(shop, name); err != nil {
		return missing(name, err.Error())
	}
	if shop.issuance.Allowed(name) {
		return nil
	}
	if shop.issuance.Ask == "" {
		return missing(name, "acme-allow does not have it")
	}
	if err := m.asking.ask(ctx, shop.issuance.Ask, name, m.options.Now()); err != nil {
		return missing(name, err.Error())
	}
	return nil
}

// served tells why nobody answers for a host.
func (m *Manager) served(shop *shop, name string) error {
	to, ok := shop.issuance.Serve(name)
	if !ok {
		return errors.New("no rule serves it")
	}
	return m.options.There(to)
}

// adopt notes a certificate that was found on disk, so that it is renewed.
func (m *Manager) adopt(shop *shop, name string, p *pair) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shop == nil || m.shop.stock != shop.stock {
		return
	}
	h := m.names[name]
	if h == nil {
		h = &holding{name: name}
		m.names[name] = h
	}
	if !h.job {
		h.take(p)
		h.looked = true
		m.stir()
	}
}

// lost notes that somebody has removed a certificate.
func (m *Manager) lost(shop *shop, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.names[name]; h != nil && !h.job && m.shop != nil && m.shop.stock == shop.stock {
		h.from, h.expires = time.Time{}, time.Time{}
		h.looked = false
	}
}

// want has a name ordered, if that is due, and returns what is closed then.
func (m *Manager) want(shop *shop, name string) (<-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shop == nil || m.shop.stock != shop.stock {
		return nil, missing(name, "the configuration has changed")
	}
	if m.ended {
		return nil, missing(name, "the emperor ends")
	}
	h := m.names[name]
	if h == nil {
		unknown := 0
		for _, other := range m.names {
			if !other.spelled && !other.has() {
				unknown++
			}
		}
		if unknown >= mostUnknown {
			return nil, missing(name, "too many names wait for an order")
		}
		h = &holding{name: name}
		m.names[name] = h
	}
	if !h.job && h.looked && h.due().After(m.options.Now()) {
		return nil, missing(name, h.trouble)
	}
	m.stir()
	return h.wait(), nil
}

// news tells whether a reason is to be said: one that holds for every name is not said
// ten thousand times.
func (m *Manager) news(reason error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.said
	m.said = reason.Error()
	var r *refused
	return !errors.As(reason, &r) || m.said != before
}

func missing(name, why string) error {
	return fmt.Errorf("no certificate for %s: %s: %w", name, why, fs.ErrNotExist)
}

// Certificate is what List tells of one.
type Certificate struct {
	Name    string
	Issuer  string
	Expires time.Time // zero: there is none
	// Next is when something will be done: an order, or a renewal.
	Next time.Time
	// Trouble is why there is none, or no new one.
	Trouble string
	Ordered bool // an order is under way
}

// List returns what is known, by name.
func (m *Manager) List() []Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Certificate, 0, len(m.names))
	for _, h := range m.names {
		c := Certificate{Name: h.name, Issuer: m.shop.stock.key, Expires: h.expires, Next: h.next, Trouble: h.trouble, Ordered: h.job && (!h.has() || !h.renew.After(m.options.Now()))}
		if h.has() && h.renew.After(h.next) {
			c.Next = h.renew
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Certificate) int { return compareNames(a.Name, b.Name) })
	return all
}
