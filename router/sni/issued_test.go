package sni

import (
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"testing"
)

// TestIssued: names whose certificates are ordered come after all others but "*", and
// what is not there yet leaves the listener's own, without waiting for an order.
func TestIssued(t *testing.T) {
	w := newWorld(t)
	exact, own := w.site("exact.example.com"), w.site("own.example.com")
	wild := w.site("*.wild.example.com")
	issued := &Issued{Directory: "acme:", Names: []string{"exact.example.com", "a.wild.example.com", "there.example.com", "coming.example.com"},
		Serves: func(name string) bool { return strings.HasSuffix(name, ".many.example.com") }, At: "f.ini:9"}
	table, problems := Compile(Config{Entries: []Entry{exact, wild}, Issued: issued})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, want := range map[string]Kind{"exact.example.com": Exact, "a.wild.example.com": Wildcard, "there.example.com": Ordered, "x.many.example.com": Ordered, "other.example.com": Unknown} {
		choice, _ := table.Find(name)
		if choice.Kind != want {
			t.Errorf("%s: %v, want %v", name, choice.Kind, want)
		}
		if want == Ordered && choice.String() != "certificate acme:/"+name+" (acme "+name+", f.ini:9)" {
			t.Errorf("%s: %s", name, &choice)
		}
	}
	w.certs.SetTable(table)
	there := w.site("there.example.com")
	var both []byte
	for _, file := range []File{there.Source.Certificate, there.Source.Key} {
		both = append(both, w.files.content[file.Path()]...)
	}
	w.files.put("acme:/there.example.com", both)
	l := w.listener(ListenerOptions{Own: &own})
	shown := func(l *Listener, name string) result {
		return handshake(l, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	}
	for name, want := range map[string]string{"there.example.com": "there.example.com", "x.many.example.com": "own.example.com"} {
		r := shown(l, name)
		if r.client.PeerCertificates == nil || r.client.PeerCertificates[0].DNSNames[0] != want {
			t.Errorf("%s: %+v, want the certificate of %s", name, r, want)
		}
	}
	gate := make(chan struct{})
	w.files.mu.Lock()
	w.files.gate = gate // an order that is under way
	w.files.mu.Unlock()
	defer close(gate)
	r := shown(l, "coming.example.com")
	if r.client.PeerCertificates == nil || r.client.PeerCertificates[0].DNSNames[0] != "own.example.com" {
		t.Errorf("while it is ordered: %+v", r)
	}
}

// TestOrdersAreInNobodysWay: certificates that are being ordered leave others' loads
// their turns.
func TestOrdersAreInNobodysWay(t *testing.T) {
	gate := make(chan struct{})
	started := make(chan string, 2)
	w := newWorld(t, func(o *Options) {
		o.Loads = 1
		files := o.Loader
		o.Loader = LoaderFunc(func(ctx context.Context, r Request) (Material, error) {
			if r.Source.Certificate.Directory == "acme:" {
				started <- r.Name
				<-gate
			}
			return files.Load(ctx, r)
		})
	})
	exact := w.site("exact.example.com")
	table, problems := Compile(Config{Entries: []Entry{exact}, Issued: &Issued{Directory: "acme:", Names: []string{"a.example.com", "b.example.com"}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.certs.SetTable(table)
	l := w.listener(ListenerOptions{})
	var waiting sync.WaitGroup
	for _, name := range []string{"a.example.com", "b.example.com"} {
		waiting.Go(func() { handshake(l, w.trusting(name)) })
		<-started
	}
	if r := handshake(l, w.trusting("exact.example.com")); r.clientErr != nil {
		t.Error(r.clientErr)
	}
	close(gate)
	waiting.Wait()
}
