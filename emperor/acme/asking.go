package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	askTime     = 3 * time.Second
	rememberYes = 5 * time.Minute
	rememberNo  = time.Minute
	mostAnswers = 4096
	mostAsking  = 16
)

// asking is the questions to acme-ask, and the answers of the last minutes: a name
// that clients keep asking for is not asked about each time. The zero value is ready.
type asking struct {
	mu      sync.Mutex
	answers map[string]answer // guarded by mu
	asked   int               // guarded by mu; under way
}

type answer struct {
	err   error // nil: yes
	until time.Time
}

var askClient = &http.Client{
	Timeout:       askTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second},
}

// ask tells why a name must not be ordered; nil: it may be.
func (a *asking) ask(ctx context.Context, where, name string, now time.Time) error {
	a.mu.Lock()
	if known, ok := a.answers[name]; ok && now.Before(known.until) {
		a.mu.Unlock()
		return known.err
	}
	if a.asked >= mostAsking {
		a.mu.Unlock()
		return errors.New("acme-ask is asked too much at the moment")
	}
	a.asked++
	a.mu.Unlock()
	err := askAbout(ctx, where, name)
	until := now.Add(rememberYes)
	if err != nil {
		until = now.Add(rememberNo)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked--
	if len(a.answers) >= mostAnswers || a.answers == nil {
		a.answers = map[string]answer{} // somebody makes names up: nothing is worth keeping
	}
	a.answers[name] = answer{err, until}
	return err
}

func askAbout(ctx context.Context, where, name string) error {
	u, err := url.Parse(where)
	if err != nil {
		return err
	}
	query := u.Query()
	query.Set("domain", name)
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	response, err := askClient.Do(request)
	if err != nil {
		return fmt.Errorf("acme-ask does not answer: %w", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("acme-ask says no (%d)", response.StatusCode)
	}
	return nil
}

// forget is for a new configuration, which may ask somebody else.
func (a *asking) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers = nil
}
