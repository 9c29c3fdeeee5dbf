package sni

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"emperor/internal/testcert"
)

func TestTicketsResumeUnderTheSamePolicyOnly(t *testing.T) {
	w := newWorld(t)
	staff, club := newAuthority(t, "staff"), newAuthority(t, "club")
	// Who is a member of both: the CAs' keys differ, their member is the same.
	limited := w.site("limited.example.com")
	limited.Policy.MaxVersion = tls.VersionTLS13
	limited.Policy.NoHTTP2 = true
	shared := w.site("one.example.net", "two.example.net")
	other := shared
	other.Names = []string{"three.example.net"}
	other.Policy.NoHTTP2 = true
	w.serve(
		w.site("a.example.com"), w.site("b.example.com"), limited, shared, other, w.site("*.wild.example.com"),
		w.asks(w.site("staff.example.com"), RequireClientCert, staff),
		w.asks(w.site("staff2.example.com"), RequireClientCert, staff),
		w.asks(w.site("asked.example.com"), RequestClientCert, staff),
		w.asks(w.site("club.example.com"), RequestClientCert, club),
	)
	own := w.site("default.example.com")
	first := w.listener(ListenerOptions{Own: &own})
	second := w.listener(ListenerOptions{Own: &own})
	apart := w.listener(ListenerOptions{Own: &own, SessionContext: "other"})
	for _, tt := range []struct {
		from   string
		via    *Listener // where the ticket is offered
		to     string
		want   bool
		member bool
	}{
		{"a.example.com", first, "a.example.com", true, false},
		{"a.example.com", second, "a.example.com", true, false},
		{"a.example.com", apart, "a.example.com", false, false},
		{"a.example.com", first, "A.EXAMPLE.com", true, false},
		{"a.example.com", first, "b.example.com", false, false},
		{"a.example.com", first, "limited.example.com", false, false},
		{"a.example.com", first, "unknown.example.com", false, false},
		{"unknown.example.com", first, "", true, false}, // both the listener's own
		{"one.example.net", first, "two.example.net", true, false},
		{"one.example.net", first, "three.example.net", false, false},
		{"x.wild.example.com", first, "y.wild.example.com", true, false},
		{"a.example.com", first, "staff.example.com", false, true},
		{"a.example.com", first, "asked.example.com", false, false},
		{"staff.example.com", first, "staff.example.com", true, true},
		{"staff.example.com", first, "staff2.example.com", false, true},
		{"staff.example.com", first, "asked.example.com", false, true},
		{"staff.example.com", first, "a.example.com", false, true},
		{"asked.example.com", first, "asked.example.com", true, false},
		{"asked.example.com", first, "club.example.com", false, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: &testcert.Session{}, Time: w.clock.now, NextProtos: []string{"h2", "http/1.1"}}
			if tt.member {
				client.Certificates = []tls.Certificate{staff.client(t, "member")}
			}
			client.ServerName = tt.from
			r := handshake(first, client)
			r.serialOf(t)
			client = client.Clone()
			client.ServerName = tt.to
			r = handshake(tt.via, client)
			r.serialOf(t)
			if r.server.DidResume != tt.want {
				t.Errorf("%s, a ticket of %q offered to %q: resumed %t, want %t", tls.VersionName(version), tt.from, tt.to, r.server.DidResume, tt.want)
			}
			if r.server.ServerName != tt.to || r.note.Asked != tt.to {
				t.Errorf("the name is %q, %q: want that of this connection, %q", r.server.ServerName, r.note.Asked, tt.to)
			}
			if who := NewClient(&r.server); tt.member && tt.to != "a.example.com" && (who == nil || who.DN != "/CN=member") {
				t.Errorf("%q, %q: the client is %+v", tt.from, tt.to, who)
			}
		}
	}
}

// resumes makes a session with one listener and reports whether another resumes it.
func (w *world) resumes(from, to *Listener, between func()) bool {
	w.t.Helper()
	client := w.trusting("a.example.com")
	client.ClientSessionCache = &testcert.Session{}
	r := handshake(from, client)
	r.serialOf(w.t)
	between()
	r = handshake(to, client)
	r.serialOf(w.t)
	return r.server.DidResume
}

func TestTicketsSurviveARenewalAndNotAnotherCA(t *testing.T) {
	w := newWorld(t)
	staff := newAuthority(t, "staff")
	e := w.asks(w.site("a.example.com"), RequestClientCert, staff)
	w.serve(e)
	l := w.listener(ListenerOptions{})
	if !w.resumes(l, l, func() {
		w.renew(e)
		w.certs.Changed(e.Source.Certificate.Path())
	}) {
		t.Error("a renewed certificate ended a session")
	}
	if w.resumes(l, l, func() {
		w.files.put(e.Policy.ClientCA.Path(), newAuthority(t, "other staff").pem)
		w.certs.Changed(e.Policy.ClientCA.Path())
	}) {
		t.Error("a session went on under another client CA")
	}
}

func TestTicketsOfOtherGenerations(t *testing.T) {
	old, young := newWorld(t), newWorld(t)
	young.ca, young.files = old.ca, old.files
	young.certs.options.Loader = old.files
	e := old.site("a.example.com")
	old.serve(e)
	young.serve(e)
	from, to := old.listener(ListenerOptions{}), young.listener(ListenerOptions{})
	nothing := func() {}
	if old.resumes(from, to, nothing) {
		t.Error("a ticket of another ring resumed")
	}
	if err := young.ring.Merge(old.ring.Export()); err != nil {
		t.Fatal(err)
	}
	if !old.resumes(from, to, nothing) {
		t.Error("a ticket of the generation before did not resume")
	}
	if err := old.ring.Merge(young.ring.Export()); err != nil {
		t.Fatal(err)
	}
	if !old.resumes(to, from, nothing) {
		t.Error("a ticket of the generation after did not resume")
	}
	// Both rotate, each for itself, and are told of each other again.
	if err := errors.Join(old.ring.Rotate(), young.ring.Rotate(), young.ring.Merge(old.ring.Export()), old.ring.Merge(young.ring.Export())); err != nil {
		t.Fatal(err)
	}
	if !old.resumes(from, to, nothing) || !old.resumes(to, from, nothing) {
		t.Error("tickets do not resume after both generations have rotated")
	}
	if !bytes.Equal(old.ring.Export(), young.ring.Export()) {
		t.Error("two generations that know each other's secrets have different ones")
	}
}

// TestReplacedSecrets: a router that is started again and again takes what the one
// before had, and pushes nothing out of it; rings that have the same do not change.
func TestReplacedSecrets(t *testing.T) {
	first, err := NewRing(RingOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kept := first.Export()
	for range 20 {
		next, err := NewRing(RingOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := next.Replace(kept); err != nil {
			t.Fatal(err)
		}
		before := next.Changes()
		if err := next.Merge(kept); err != nil || next.Changes() != before {
			t.Errorf("the same secrets again are a change, %v", err)
		}
		kept = next.Export()
	}
	if !bytes.Equal(kept, first.Export()) {
		t.Error("after twenty starts the secrets are others")
	}
	if err := first.Replace(ringHeader); err != nil || len(first.keys("x")) != 1 {
		t.Errorf("an empty export leaves %d keys, %v", len(first.keys("x")), err)
	}
}

func TestTicketKeysRotate(t *testing.T) {
	for _, tt := range []struct {
		step  time.Duration
		steps int
		want  bool
	}{
		{0, 0, true},
		{12*time.Hour - time.Second, 1, true},
		{12 * time.Hour, 1, true},
		{12 * time.Hour, 2, true},
		{12 * time.Hour, 4, false},
		{36*time.Hour + time.Second, 1, false}, // nobody came in between
	} {
		w := newWorld(t)
		w.serve(w.site("a.example.com"))
		l := w.listener(ListenerOptions{})
		if got := w.resumes(l, l, func() {
			for range tt.steps {
				w.clock.advance(tt.step)
				w.ring.version()
			}
		}); got != tt.want {
			t.Errorf("after %d times %v: resumed %t, want %t", tt.steps, tt.step, got, tt.want)
		}
	}
}

// TestSessionTime: ssl-sessions-timeout.
func TestSessionTime(t *testing.T) {
	for _, tt := range []struct {
		limit, after time.Duration
		want         bool
	}{
		{300 * time.Second, 299 * time.Second, true},
		{300 * time.Second, 302 * time.Second, false},
		{0, 3600 * time.Second, true},
	} {
		w := newWorld(t)
		e := w.site("a.example.com")
		e.Policy.SessionTime = tt.limit
		w.serve(e)
		l := w.listener(ListenerOptions{})
		if got := w.resumes(l, l, func() { w.clock.advance(tt.after) }); got != tt.want {
			t.Errorf("limit %v, after %v: resumed %t, want %t", tt.limit, tt.after, got, tt.want)
		}
	}
}

func TestRingIsBounded(t *testing.T) {
	c := &clock{}
	r, err := NewRing(RingOptions{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := r.Rotate(); err != nil {
			t.Fatal(err)
		}
		other, err := NewRing(RingOptions{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Merge(other.Export()); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.secrets) > 6 {
		t.Errorf("%d secrets", len(r.secrets))
	}
	c.advance(1000 * time.Hour)
	r.version()
	if len(r.secrets) != 1 {
		t.Errorf("%d secrets after six weeks in which nobody came", len(r.secrets))
	}
}

// failing is randomness that ends after the first secret.
type failing struct{ left int }

func (f *failing) Read(p []byte) (int, error) {
	if f.left < len(p) {
		return 0, errors.New("no entropy")
	}
	f.left -= len(p)
	return len(p), nil
}

func TestRingWithoutRandomness(t *testing.T) {
	if _, err := NewRing(RingOptions{Random: &failing{}}); err == nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("error %v", err)
	}
	c := &clock{}
	r, err := NewRing(RingOptions{Random: &failing{left: 32}, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	c.advance(13 * time.Hour)
	before := r.version()
	c.advance(time.Second)
	if r.version() != before || len(r.keys("x")) != 1 {
		t.Error("a ring that cannot rotate does not go on with what it has")
	}
}

func TestExportsThatAreNone(t *testing.T) {
	r, err := NewRing(RingOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := r.Export()
	for _, b := range [][]byte{nil, []byte("x"), good[:len(good)-1], append(good, 1), append(ringHeader[:len(ringHeader):len(ringHeader)], make([]byte, 65*secretSize)...)} {
		if err := r.Merge(b); !errors.Is(err, ErrNotExported) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

func FuzzMerge(f *testing.F) {
	r, err := NewRing(RingOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.Export())
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &clock{}
		r, err := NewRing(RingOptions{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		if r.Merge(b) == nil && len(r.keys("x")) == 0 {
			t.Error("no keys are left")
		}
		r.version()
		again, err := NewRing(RingOptions{Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Merge(r.Export()); err != nil {
			t.Errorf("its own export: %v", err)
		}
	})
}
