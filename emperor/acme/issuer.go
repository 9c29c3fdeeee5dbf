package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"emperor/internal/link"
)

// issuer sends the orders that CertMagic makes; challenges are answered by the front.
type issuer struct {
	stock  *stock
	prover *prover
	kinds  []string
	ca     string
	email  string
	http   *http.Client

	registering sync.Mutex
}

var _ certmagic.Issuer = (*issuer)(nil)

// replaces is the context's key of the certificate that an order replaces.
type replaces struct{}

// IssuerKey names the authority in the folder.
func (i *issuer) IssuerKey() string { return i.stock.key }

// client makes a client of the authority, with solvers of those challenges that there
// are listeners for.
func (i *issuer) client() *acmez.Client {
	c := &acmez.Client{
		Client: &acme.Client{
			Directory: i.ca, HTTPClient: i.http, UserAgent: "emperor",
			PollTimeout: orderTime / 2,
		},
		ChallengeSolvers: map[string]acmez.Solver{},
	}
	for _, kind := range i.kinds {
		c.ChallengeSolvers[kind] = solver{i.prover, kind}
	}
	return c
}

// Issue implements certmagic.Issuer.
func (i *issuer) Issue(ctx context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	client := i.client()
	for again := false; ; again = true {
		account, err := i.account(ctx, client, again)
		if err != nil {
			return nil, err
		}
		parameters, err := acmez.OrderParametersFromCSR(account, request)
		if err != nil {
			return nil, err
		}
		parameters.Replaces, _ = ctx.Value(replaces{}).(*x509.Certificate)
		chains, err := client.ObtainCertificate(ctx, parameters)
		var problem acme.Problem
		if !again && errors.As(err, &problem) && problem.Type == acme.ProblemTypeAccountDoesNotExist {
			continue // an authority that has forgotten us
		}
		if err != nil {
			return nil, err
		}
		if len(chains) == 0 {
			return nil, errors.New("the authority issued nothing")
		}
		return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
	}
}

// account returns the account with the authority, making one if there is none or
// anew is set.
func (i *issuer) account(ctx context.Context, client *acmez.Client, anew bool) (acme.Account, error) {
	i.registering.Lock()
	defer i.registering.Unlock()
	storage := i.stock.storage
	owner := "default"
	if i.email != "" {
		owner = certmagic.StorageKeys.Safe(i.email)
	}
	folder := path.Join("accounts", i.stock.key, owner)
	keyFile, file := path.Join(folder, "account.key"), path.Join(folder, "account.json")
	var account acme.Account
	text, err := storage.Load(ctx, keyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return account, err
		}
		if text, err = certmagic.PEMEncodePrivateKey(key); err != nil {
			return account, err
		}
		if err := storage.Store(ctx, keyFile, text); err != nil {
			return account, err
		}
	case err != nil:
		return account, err
	}
	key, err := certmagic.PEMDecodePrivateKey(text)
	if err != nil {
		return account, fmt.Errorf("%s: %w", storage.Filename(keyFile), err)
	}
	if text, err := storage.Load(ctx, file); err == nil && !anew {
		if err := json.Unmarshal(text, &account); err == nil && account.Status == acme.StatusValid {
			account.PrivateKey = key
			return account, nil
		}
	}
	account = acme.Account{PrivateKey: key, TermsOfServiceAgreed: true} // see the option's help
	if i.email != "" {
		account.Contact = []string{"mailto:" + i.email}
	}
	if account, err = client.NewAccount(ctx, account); err != nil {
		return account, fmt.Errorf("no account: %w", err)
	}
	if text, err = json.Marshal(account); err != nil {
		return account, err
	}
	return account, storage.Store(ctx, file, text)
}

// prover is the challenges that the front answers at the moment.
type prover struct {
	prove func(ctx context.Context, all []link.Challenge) error

	mu      sync.Mutex // held while the front is told, so that no list overtakes another
	present map[string]link.Challenge
}

func (p *prover) change(ctx context.Context, key string, c *link.Challenge) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.present == nil {
		p.present = map[string]link.Challenge{}
	}
	if c == nil {
		delete(p.present, key)
	} else {
		p.present[key] = *c
	}
	all := make([]link.Challenge, 0, len(p.present))
	for _, c := range p.present {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b link.Challenge) int { return compareNames(a.Name+a.Token, b.Name+b.Token) })
	return p.prove(ctx, all)
}

// solver answers one kind of challenges.
type solver struct {
	prover *prover
	kind   string
}

// Present implements acmez.Solver: it returns when the front answers.
func (s solver) Present(ctx context.Context, c acme.Challenge) error {
	out := link.Challenge{Name: c.Identifier.Value}
	switch s.kind {
	case link.HTTP01:
		out.Token, out.Answer = c.Token, c.KeyAuthorization
	case link.TLSALPN01:
		shown, err := acmez.TLSALPN01ChallengeCert(c)
		if err != nil {
			return err
		}
		if out.Key, err = x509.MarshalPKCS8PrivateKey(shown.PrivateKey); err != nil {
			return err
		}
		out.Certificate = shown.Certificate[0]
	}
	return s.prover.change(ctx, s.kind+" "+c.Token, &out)
}

// CleanUp implements acmez.Solver.
func (s solver) CleanUp(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.prover.change(ctx, s.kind+" "+c.Token, nil)
}
