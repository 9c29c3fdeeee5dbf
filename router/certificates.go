package router

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/internal/resource"
	"emperor/router/http1"
	"emperor/router/sni"
)

const strictTransport = "Strict-Transport-Security"

// certificates is TLS as the options want it.
type certificates struct {
	https []secureListener
	table *sni.Table

	names    sni.Config // that table is made of
	issuance issuance
	base     sni.Policy // of names that have no other

	vars      sni.VarOptions
	hsts      []byte          // a complete line
	notes     config.Problems // about what is in files; harmless
	announced announcedPairs
	named     map[string][]string // names by the certificate, of sni lines that give none
	http2     bool
	cacheSize int
	byName    map[string]*sni.Listener // by the listener's address; made in the router
}

type secureListener struct {
	line    config.Value
	address string
	options sni.ListenerOptions
}

func (s *certificates) compile(c *config.Config, supply *supply, mistake, warn func(config.Value, error)) {
	s.named = map[string][]string{}
	s.issuance.compile(c, supply, mistake)
	base := s.policy(c, mistake, warn)
	var err error
	s.http2 = c.Bool("https-http2")
	s.cacheSize = int(c.Int("sni-cache"))
	s.vars = sni.VarOptions{ExportCertificate: c.Bool("https-export-cert"), Details: c.Bool("https-export-tls")}
	if hsts := c.Text("https-hsts"); hsts != "" {
		if !http1.ValidValue([]byte(hsts)) {
			v, _ := c.Last("https-hsts")
			mistake(v, fmt.Errorf("%q can not stand in a header", hsts))
		}
		s.hsts = []byte(strictTransport + ": " + hsts + "\r\n")
	}
	entry := func(v config.Value, files sni.Files, names []string, pattern string) *sni.Entry {
		policy, notes, err := files.Policy(base)
		if err != nil {
			mistake(v, err)
			return nil
		}
		for _, note := range notes {
			warn(v, errors.New(note))
		}
		return &sni.Entry{Names: names, Pattern: pattern, Source: files.Source(), Policy: policy, At: v.Pos.String()}
	}
	contexts := map[bool]string{} // of https lines, and of sslrouter's
	for _, v := range c.All(append([]string{"https-session-context", "sslrouter-session-context"}, secureOptions...)...) {
		if kind, ok := strings.CutSuffix(v.Key, "-session-context"); ok {
			contexts[isHTTPS(kind)] = v.Value
			continue
		}
		h, err := parseSecure(v)
		if err != nil {
			mistake(v, err)
			continue
		}
		l := secureListener{line: v, address: h.Address, options: sni.ListenerOptions{SessionContext: contexts[isHTTPS(v.Key)], Protocols: []string{"h2", "http/1.1"}}}
		if !s.http2 && !h.HTTP2 {
			l.options.Protocols = []string{"http/1.1"}
		}
		if h.OwnCertificate {
			l.options.Own = entry(v, h.Files, nil, "")
		}
		s.https = append(s.https, l)
	}
	s.base = base
	for _, v := range c.All("sni", "sni-regexp") {
		parse := sni.ParseSNI
		if v.Key == "sni-regexp" {
			parse = sni.ParseSNIRegexp
		}
		n, err := parse(v.Value)
		if err != nil {
			mistake(v, err)
			continue
		}
		if n.Note != "" {
			warn(v, errors.New(n.Note))
		}
		names := []string{n.Name}
		switch {
		case n.Pattern != "":
			names = nil
		case n.Name == "":
			// The names are the certificate's.
			if names = s.namesOf(n.Certificate, supply, v); len(names) == 0 {
				continue
			}
		}
		if e := entry(v, n.Files, names, n.Pattern); e != nil {
			s.names.Entries = append(s.names.Entries, *e)
		}
	}
	s.announced.compile(c, base, mistake)
	ciphers := base.Ciphers
	if v, ok := c.Last("sni-dir-ciphers"); ok {
		var notes []string
		if ciphers, notes, err = sni.ParseCiphers(v.Value); err != nil {
			mistake(v, err)
		}
		for _, note := range notes {
			warn(v, errors.New(note))
		}
	}
	for _, v := range c.All("sni-dir") {
		d := sni.Directory{Path: v.Value, Policy: base, At: v.Pos.String()}
		d.Policy.Ciphers = ciphers
		if c.Bool("sni-dir-require-client") {
			d.Policy.Client = sni.RequireClientCert
		}
		listing, _, err := supply.take(link.Listing, v.Value, v)
		if err != nil {
			mistake(v, err)
			continue
		}
		var odd []error
		d.Names, odd = sni.ReadDirectory(strings.Fields(string(listing)))
		for _, o := range odd {
			s.note(v, o)
		}
		s.names.Directories = append(s.names.Directories, d)
	}
}

// compileTable makes the table of names, once the rules are known.
func (s *certificates) compileTable(settings *Settings, mistake func(config.Value, error)) {
	s.names.Issued = s.issuance.names(settings, s.base)
	var problems []sni.Problem
	s.table, problems = sni.Compile(s.names)
	for _, p := range problems {
		if p.Harmless {
			s.notes = append(s.notes, config.Problem{Text: p.Error(), Warning: true})
		} else {
			mistake(config.Value{Key: "sni"}, p)
		}
	}
}

// namesOf returns the names that a certificate is for, of an sni that gives none. One
// that cannot be read harms its names only: while there is such a file, they are the
// ones that it had before.
func (s *certificates) namesOf(path string, supply *supply, v config.Value) []string {
	content, known := supply.wish(path, v)
	if !known {
		return nil
	}
	names, err := sni.CertificateNames(content)
	if err == nil {
		s.named[path] = names
		return names
	}
	if supply.before != nil && len(content) > 0 {
		names = supply.before.named[path]
		s.named[path] = names
	}
	s.note(v, fmt.Errorf("%s: %w", path, err))
	return names
}

func (s *certificates) note(v config.Value, err error) {
	s.notes = append(s.notes, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error(), Warning: true})
}

// listen makes the listeners that give connections their TLS configuration, and
// returns what is named by lines of https and sni. before is what they replace.
func (s *certificates) listen(all *sni.Certificates, before *certificates, log *slog.Logger) (named []sni.Choice) {
	for _, note := range s.notes {
		if !slices.Contains(before.notes, note) { // it has been said
			log.Warn(note.Error())
		}
	}
	all.SetCacheSize(s.cacheSize)
	all.SetTable(s.table)
	s.byName = map[string]*sni.Listener{}
	for _, l := range s.https {
		made, err := all.Listener(l.options)
		if err != nil {
			log.Error("https listener", slog.String("address", l.address), slog.Any("err", err))
			continue
		}
		s.byName[l.address] = made
		if own, ok := made.Own(); ok {
			named = append(named, own)
		}
	}
	all.KeepOwn(named...)
	return append(named, s.table.Choices()...)
}

// preload loads the pairs that lines name, so that what is wrong with them is said
// at once and not when somebody connects. (Those of folders and patterns wait for
// that.) Connections wait for none but their own. More than half of the room would
// only push others out. Then it is known whose names they cover.
func (r *Router) preload(named []sni.Choice, room int, streams *streams) {
	r.helpers.Go(func() {
		// Errors are logged; for each the pair that was there before goes on.
		_ = r.certificates.Preload(context.Background(), named[:min(len(named), room/2)]...)
		r.warnOfCovered(streams, named)
		select {
		case r.looked <- struct{}{}:
		default: // watchExpiry is about to look
		}
	})
}

// materials is the router's side of loading pairs: whoever may read keys is asked
// for them.
type materials struct {
	mu      sync.Mutex
	ask     func(id uint64, r link.PairRequest) error // guarded by mu; nil: files are read here
	next    uint64                                    // guarded by mu
	waiting map[uint64]chan *link.Message             // guarded by mu
}

// Load implements sni.Loader.
func (m *materials) Load(ctx context.Context, r sni.Request) (sni.Material, error) {
	q := link.PairRequest{Name: r.Name, Certificate: r.Source.Certificate.Path(), Key: r.Source.Key.Path()}
	if !r.ClientCA.IsZero() {
		q.ClientCA = r.ClientCA.Path()
	}
	m.mu.Lock()
	ask := m.ask
	if ask == nil {
		m.mu.Unlock()
		return readMaterial(&q)
	}
	m.next++
	id := m.next
	answer := make(chan *link.Message, 1)
	if m.waiting == nil {
		m.waiting = map[uint64]chan *link.Message{}
	}
	m.waiting[id] = answer
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.waiting, id)
		m.mu.Unlock()
	}()
	if err := ask(id, q); err != nil {
		return sni.Material{}, err
	}
	select {
	case a := <-answer:
		if a.Error != "" || a.Material == nil {
			err := errors.New(a.Error)
			if a.Material != nil && a.Material.Missing {
				err = missingError(a.Error)
			}
			return sni.Material{}, err
		}
		return sni.Material{Certificate: a.Material.Certificate, Key: a.Material.Key, ClientCA: a.Material.ClientCA}, nil
	case <-ctx.Done():
		return sni.Material{}, ctx.Err()
	}
}

// missingError is what the emperor says of files that are not there.
type missingError string

func (e missingError) Error() string      { return string(e) }
func (missingError) Is(target error) bool { return target == fs.ErrNotExist }

// answered gives an answer to whoever waits for it.
func (m *materials) answered(a *link.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if waiting := m.waiting[a.Sequence]; waiting != nil {
		waiting <- a
		delete(m.waiting, a.Sequence)
	}
}

// readMaterial is for a router without an emperor.
func readMaterial(q *link.PairRequest) (out sni.Material, err error) {
	if q.Certificate == link.IssuedPath(q.Name) {
		return out, fmt.Errorf("what is ordered, only a running emperor has: %w", fs.ErrNotExist)
	}
	for _, f := range []struct {
		path string
		into *[]byte
	}{{q.Certificate, &out.Certificate}, {q.Key, &out.Key}, {q.ClientCA, &out.ClientCA}} {
		if f.path == "" {
			continue
		}
		if *f.into, err = resource.Read(f.path, resource.MostPair); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Keeper tells for a configuration which pairs its router may ask for: the
// emperor, which can read every key, need not trust the router with the choice.
func Keeper(c *link.Configuration) func(link.PairRequest) error {
	set, err := config.NewSet(Options)
	if err != nil {
		return func(link.PairRequest) error { return err }
	}
	settings, _ := compile(options(set, c.Options), &supply{checking: true, given: c.Resources})
	certificates := &settings.certificates
	return func(q link.PairRequest) error {
		for _, l := range certificates.https {
			if l.options.Own != nil && isFor(q, l.options.Own.Source, l.options.Own.Policy.ClientCA) {
				return nil
			}
		}
		if certificates.announced.allowsRequest(&q) {
			return nil
		}
		if choice, ok := certificates.table.Find(q.Name); ok && isFor(q, choice.Source, choice.ClientCA) {
			return nil
		}
		return fmt.Errorf("%s is not what the configuration has for %q", q.Certificate, q.Name)
	}
}

func isFor(q link.PairRequest, s sni.Source, ca sni.File) bool {
	return q.Certificate == s.Certificate.Path() && q.Key == s.Key.Path() && (q.ClientCA == "" || q.ClientCA == ca.Path())
}
