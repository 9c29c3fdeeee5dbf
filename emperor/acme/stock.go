package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"

	"emperor/internal/link"
)

// shop is what the configuration says, and where certificates are had then. It is
// immutable.
type shop struct {
	issuance *link.Issuance
	stock    *stock
}

// spells tells whether a rule spells the name.
func (s *shop) spells(name string) bool {
	_, found := slices.BinarySearch(s.issuance.Names, name)
	return found
}

// stock is one authority, with one folder for what it has issued.
type stock struct {
	key     string // of the authority, in the folder and in the log
	terms   terms
	storage *certmagic.FileStorage
	config  *certmagic.Config
	issuer  *issuer

	mu       sync.Mutex           // guards what follows, and the ledger's file
	prepared bool                 // the folder is there and safe
	advices  map[string]time.Time // name → beginning of the certificate that the authority has an opinion on
}

// terms are what makes another stock of it.
type terms struct{ ca, roots, email, keyType, directory string }

func termsOf(i *link.Issuance) terms {
	return terms{i.CA, string(i.Roots), i.Email, i.KeyType, i.Directory}
}

// fits tells whether a configuration changes nothing here.
func (s *stock) fits(i *link.Issuance) bool {
	return s.terms == termsOf(i) && slices.Equal(s.issuer.kinds, i.Challenges)
}

// library is what CertMagic needs one of. Its cache stays empty.
type library struct {
	cache *certmagic.Cache
	once  sync.Once
}

func newLibrary() *library {
	l := &library{}
	l.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			return nil, errors.New("no certificate is cached here")
		},
		Logger: zap.NewNop(),
	})
	return l
}

func (l *library) close() { l.once.Do(l.cache.Stop) }

func newStock(i *link.Issuance, l *library, p *prover) *stock {
	s := &stock{
		// The way CertMagic's own issuer names it.
		key:     (&certmagic.ACMEIssuer{CA: i.CA}).IssuerKey(),
		terms:   termsOf(i),
		storage: &certmagic.FileStorage{Path: i.Directory},
		advices: map[string]time.Time{},
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSHandshakeTimeout:   20 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
	}
	if len(i.Roots) > 0 {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(i.Roots) // it was checked when the configuration was read
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	s.issuer = &issuer{
		stock: s, prover: p, kinds: i.Challenges, email: i.Email, ca: i.CA,
		http: &http.Client{Transport: transport, Timeout: time.Minute},
	}
	s.config = certmagic.New(l.cache, certmagic.Config{
		Storage:    s.storage,
		Issuers:    []certmagic.Issuer{s.issuer},
		KeySource:  certmagic.StandardKeyGenerator{KeyType: certmagic.KeyType(i.KeyType)},
		Logger:     zap.NewNop(), // what matters is in errors
		DisableARI: true,         // see advice
	})
	return s
}

// load reads what is on disk for a name; fs.ErrNotExist: nothing.
func (s *stock) load(ctx context.Context, name string) (*pair, error) {
	var p *pair
	var err error
	for range 4 {
		var certificate, key []byte
		if certificate, err = s.storage.Load(ctx, certmagic.StorageKeys.SiteCert(s.key, name)); err != nil {
			return nil, err
		}
		if key, err = s.storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(s.key, name)); err != nil {
			return nil, err
		}
		if p, err = newPair(certificate, key); err == nil {
			return p, nil
		}
		// The two files are replaced one after the other.
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%s: %w", s.storage.Filename(certmagic.StorageKeys.CertsSitePrefix(s.key, name)), err)
}

// prepare sees to it that the folder is there and nobody else's.
func (s *stock) prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared {
		return nil
	}
	if err := Prepare(s.terms.directory); err != nil {
		return err
	}
	s.prepared = true
	return nil
}

// How often the authority is asked about renewals where it does not say.
const consultEvery = 6 * time.Hour

// advice asks the authority when a certificate is to be renewed, and when to ask again.
// A zero time: it has nothing to say that makes sense.
func (s *stock) advice(ctx context.Context, name string, leaf *x509.Certificate, now time.Time) (at, again time.Time, err error) {
	again = now.Add(consultEvery)
	info, err := s.issuer.client().GetRenewalInfo(ctx, leaf)
	if errors.Is(err, acme.ErrUnsupported) {
		return at, now.Add(24 * time.Hour), nil
	}
	if err != nil {
		return at, again, err
	}
	if info.RetryAfter != nil && info.RetryAfter.After(now.Add(time.Minute)) {
		again = *info.RetryAfter
	}
	// A window longer than the certificate's life is no advice; one that ends after it
	// would be bad advice.
	window := info.SuggestedWindow
	if window.End.Sub(window.Start) >= leaf.NotAfter.Sub(leaf.NotBefore) || !info.SelectedTime.Before(leaf.NotAfter) {
		return time.Time{}, again, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advices[name] = leaf.NotBefore
	return info.SelectedTime, again, nil
}

// advised tells whether the authority knows the certificate as one that it renews.
func (s *stock) advised(name string, leaf *x509.Certificate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.advices[name].Equal(leaf.NotBefore)
}
