package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"
)

// ledger is every order of the last seven days, on disk, so that no number of
// restarts and crashes makes more of them. An order is noted, as one that failed,
// before it is sent; only its end makes it better.
//
//	an order that failed    5 min, 1 h, 4 h, 12 h, then 24 h until the next for that name
//	orders of one name      5 in an hour
//	issued for one name     5 in seven days, which is Let's Encrypt's limit
//	orders in all           acme-orders-per-week
type ledger struct {
	Names map[string]*record `json:"names"`
}

// record is one name's part.
type record struct {
	Orders   []time.Time `json:"orders,omitempty"`
	Issued   []time.Time `json:"issued,omitempty"`
	Failures int         `json:"failures,omitempty"` // in a row
	Next     time.Time   `json:"next,omitzero"`      // nothing is ordered before
	Trouble  string      `json:"trouble,omitempty"`  // why the last one failed
}

const (
	week           = 7 * 24 * time.Hour
	mostIssued     = 5
	mostHourly     = 5
	limitedFor     = 3 * time.Hour // when the authority says that it is too much
	interruption   = "the emperor ended while the order was under way"
	longestTrouble = 500
)

// patience is how long to wait after an order that failed, by failures in a row.
var patience = []time.Duration{5 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// refused says until when there is no order for a name, and why.
type refused struct {
	until time.Time
	why   string
}

func (r *refused) Error() string { return r.why }

// prune forgets what counts no more.
func (l *ledger) prune(now time.Time) {
	old := func(t time.Time) bool { return now.Sub(t) >= week || t.Sub(now) > time.Hour }
	for name, r := range l.Names {
		r.Orders, r.Issued = slices.DeleteFunc(r.Orders, old), slices.DeleteFunc(r.Issued, old)
		// A clock that was wrong must not forbid anything for years.
		if r.Next.Sub(now) > week {
			r.Next = time.Time{}
		}
		if len(r.Orders)+len(r.Issued) == 0 && r.Next.Before(now) {
			delete(l.Names, name)
		}
	}
}

// enter notes that an order is sent, or tells why it must not be.
func (l *ledger) enter(name string, most int, now time.Time) error {
	l.prune(now)
	r := l.Names[name]
	if r == nil {
		r = &record{}
		if l.Names == nil {
			l.Names = map[string]*record{}
		}
	}
	if r.Next.After(now) {
		return &refused{r.Next, r.Trouble}
	}
	if len(r.Issued) >= mostIssued {
		return &refused{r.Issued[0].Add(week), fmt.Sprintf("%d certificates were issued for it in seven days", len(r.Issued))}
	}
	if n := len(r.Orders); n >= mostHourly && now.Sub(r.Orders[n-mostHourly]) < time.Hour {
		return &refused{r.Orders[n-mostHourly].Add(time.Hour), fmt.Sprintf("%d orders were sent for it within an hour", mostHourly)}
	}
	all := 0
	first := now
	for _, other := range l.Names {
		all += len(other.Orders)
		if len(other.Orders) > 0 && other.Orders[0].Before(first) {
			first = other.Orders[0]
		}
	}
	if all >= most {
		return &refused{first.Add(week), fmt.Sprintf("%d orders were sent in seven days (acme-orders-per-week)", all)}
	}
	l.Names[name] = r
	r.Orders = append(r.Orders, now)
	r.fail(now, interruption)
	return nil
}

func (r *record) fail(now time.Time, why string) {
	r.Next = now.Add(patience[min(r.Failures, len(patience)-1)])
	r.Failures++
	r.Trouble = why[:min(len(why), longestTrouble)]
}

// leave notes how an order ended.
func (l *ledger) leave(name string, now time.Time, err error, interrupted bool) {
	r := l.Names[name]
	if r == nil {
		return
	}
	r.Failures = max(r.Failures-1, 0) // enter's
	var said *refusal
	switch {
	case err == nil:
		*r = record{Orders: r.Orders, Issued: append(r.Issued, now)}
	case interrupted:
		r.Next, r.Trouble = time.Time{}, interruption // in good order: it may be tried again
	default:
		r.fail(now, err.Error())
		if errors.As(err, &said) && said.limited && r.Next.Sub(now) < limitedFor {
			r.Next = now.Add(limitedFor)
		}
	}
}

// pardon forgets failures, because somebody has looked into them. Limits stay.
func (l *ledger) pardon(name string) {
	if r := l.Names[name]; r != nil {
		r.Next, r.Failures, r.Trouble = time.Time{}, 0, ""
	}
}

func (s *stock) ledgerFile() string { return path.Join("orders", s.key+".json") }

// ledger reads the file; it returns an empty one with an error.
func (s *stock) ledger(ctx context.Context) (*ledger, error) {
	l := &ledger{}
	text, err := s.storage.Load(ctx, s.ledgerFile())
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(text, l)
	}
	if err != nil {
		return &ledger{}, fmt.Errorf("%s: %w", s.storage.Filename(s.ledgerFile()), err)
	}
	for name, r := range l.Names {
		if r == nil {
			delete(l.Names, name)
		}
	}
	return l, nil
}

func (s *stock) writeLedger(ctx context.Context, l *ledger) error {
	text, err := json.MarshalIndent(l, "", "\t")
	if err != nil {
		return err
	}
	return s.storage.Store(ctx, s.ledgerFile(), append(text, '\n'))
}

// enter is ledger.enter on disk. With an error nothing may be sent before until.
func (s *stock) enter(ctx context.Context, name string, most int, now time.Time) (until time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.ledger(ctx)
	if err != nil {
		return now.Add(lookAgain), err // without it, nothing is known to be safe
	}
	if err := l.enter(name, most, now); err != nil {
		var r *refused
		if errors.As(err, &r) {
			return r.until, err
		}
		return now.Add(lookAgain), err
	}
	if err := s.writeLedger(ctx, l); err != nil {
		return now.Add(lookAgain), err
	}
	return time.Time{}, nil
}

// pardon is ledger.pardon on disk.
func (s *stock) pardon(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.ledger(ctx)
	if err != nil || l.Names[name] == nil {
		return err
	}
	l.pardon(name)
	return s.writeLedger(ctx, l)
}

// leave is ledger.leave on disk; until is when the next order may be sent.
func (s *stock) leave(ctx context.Context, name string, now time.Time, orderErr error, interrupted bool) (until time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.ledger(ctx)
	if err != nil {
		return now.Add(patience[0]), err
	}
	l.leave(name, now, orderErr, interrupted)
	if r := l.Names[name]; r != nil {
		until = r.Next
	}
	return until, s.writeLedger(ctx, l)
}
