package sni

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPairIsLoadedOnceForAllWhoWait(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com", "b.example.com"))
	w.files.gate = make(chan struct{})
	l := w.listener(ListenerOptions{})
	var clients sync.WaitGroup
	results := make([]result, 20)
	for i := range results {
		clients.Go(func() { results[i] = handshake(l, w.trusting([]string{"a.example.com", "b.example.com"}[i%2])) })
	}
	close(w.files.gate)
	clients.Wait()
	for i := range results {
		results[i].serialOf(t)
	}
	if w.files.count() != 1 {
		t.Errorf("%d loads, want 1", w.files.count())
	}
}

func TestNothingIsLoadedThatNobodyAsksFor(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"), w.site("b.example.com"))
	l := w.listener(ListenerOptions{})
	for _, name := range []string{"unknown.example.com", "../a.example.com", "A.example.com"} {
		handshake(l, w.trusting(name))
	}
	if w.files.count() != 1 || w.certs.Stats().Loaded != 1 {
		t.Errorf("%d loads, %+v, want the one of A.example.com", w.files.count(), w.certs.Stats())
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.CacheSize = 3 })
	staff := newAuthority(t, "staff")
	var entries []Entry
	for i := range 5 {
		entries = append(entries, w.asks(w.site(fmt.Sprintf("s%d.example.com", i)), RequestClientCert, staff))
	}
	w.serve(entries...)
	l := w.listener(ListenerOptions{})
	ask := func(i int) {
		r := handshake(l, w.trusting(entries[i].Names[0]))
		r.serialOf(t)
	}
	for _, i := range []int{0, 1, 2, 0, 3, 0, 4} {
		ask(i)
	}
	if s := w.certs.Stats(); s != (Stats{Loaded: 3, Loads: 5, Evicted: 2}) {
		t.Errorf("%+v, want 3 of 5 loaded", s)
	}
	ask(0) // used often, so still there
	if s := w.certs.Stats(); s.Loads != 5 {
		t.Errorf("the pair that was used most is loaded again: %+v", s)
	}
	if len(w.certs.pools) != 1 {
		t.Errorf("%d sets of CAs are in memory, want the one that all share", len(w.certs.pools))
	}
	w.serve()
	if len(w.certs.pools) != 0 || w.certs.Stats().Loaded != 0 {
		t.Errorf("%d sets of CAs and %d pairs are in memory for no names", len(w.certs.pools), w.certs.Stats().Loaded)
	}
}

func TestFailureIsRememberedForAMoment(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com")
	w.serve(e)
	l := w.listener(ListenerOptions{})
	w.files.fail(errors.New("the disk is gone"))
	for range 3 {
		if r := handshake(l, w.trusting("a.example.com")); !strings.Contains(fmt.Sprint(r.note.Reason), "the disk is gone") || !strings.Contains(fmt.Sprint(r.clientErr), "unrecognized name") {
			t.Errorf("note %v, client %v", r.note.Reason, r.clientErr)
		}
	}
	if w.files.count() != 1 {
		t.Errorf("%d loads, want 1", w.files.count())
	}
	w.clock.advance(time.Second)
	handshake(l, w.trusting("a.example.com"))
	if w.files.count() != 2 {
		t.Errorf("%d loads, want 2", w.files.count())
	}
	if n := strings.Count(w.log.String(), "the disk is gone"); n != 1 {
		t.Errorf("%d lines in the log for one mistake:\n%s", n, &w.log)
	}
	w.files.fail(nil)
	w.certs.Changed("/sni/a.example.com.key")
	r := handshake(l, w.trusting("a.example.com"))
	r.serialOf(t)
}

func TestReplacedPairIsUsedByTheNextHandshake(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com")
	w.serve(e)
	l := w.listener(ListenerOptions{})
	see := func() string {
		t.Helper()
		r := handshake(l, w.trusting("a.example.com"))
		return r.serialOf(t)
	}
	first := see()
	w.renew(e)
	if see() != first {
		t.Error("a pair is loaded again though nobody said that it has changed")
	}
	w.certs.Changed(e.Source.Certificate.Path())
	second := see()
	if second == first {
		t.Error("the old pair is used by the handshake after a change")
	}

	// Half of the next pair: the old one stays, and the log says what is wrong.
	good := w.files.content[e.Source.Key.Path()]
	w.files.put(e.Source.Key.Path(), keyPEM(t, newKey()))
	w.certs.Changed(e.Source.Key.Path())
	loads := w.files.count()
	for range 3 {
		if see() != second {
			t.Error("a broken pair took the place of the one before it")
		}
	}
	if w.files.count() != loads+1 {
		t.Errorf("a broken pair was loaded %d times", w.files.count()-loads)
	}
	if log := w.log.String(); strings.Count(log, "the key does not belong to the certificate of a.example.com") != 1 ||
		!strings.Contains(log, "/sni/a.example.com.crt") || !strings.Contains(log, "the one before it stays") {
		t.Errorf("log:\n%s", log)
	}
	w.files.put(e.Source.Key.Path(), good)
	w.renew(e)
	w.certs.Changed(e.Source.Key.Path())
	third := see()
	if third == second {
		t.Error("the old pair is used after the mistake was mended")
	}

	// A file is gone: so is the name.
	w.files.remove(e.Source.Certificate.Path())
	w.certs.Changed(e.Source.Certificate.Path())
	for range 5 {
		if see() != third {
			t.Error("a file that is gone for a moment made another certificate of it")
		}
		w.clock.advance(time.Second)
	}
	if r := handshake(l, w.trusting("a.example.com")); r.clientErr == nil || w.certs.Stats().Loaded != 0 {
		t.Errorf("a removed certificate is still in use: %v, %+v", r.note, w.certs.Stats())
	}
	w.renew(e)
	w.certs.Changed(e.Source.Certificate.Path())
	see()
}

// A pair that changes while it is read may be half old and half new, or old.
func TestChangeDuringALoadIsNotMissed(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com")
	w.serve(e)
	choice, _ := w.certs.Table().Find("a.example.com")
	loading := make(chan struct{})
	release := make(chan struct{})
	inner := w.certs.options.Loader
	w.certs.options.Loader = LoaderFunc(func(ctx context.Context, r Request) (Material, error) {
		m, err := inner.Load(ctx, r)
		if loading != nil {
			close(loading)
			<-release
			loading = nil
		}
		return m, err
	})
	var old *loaded
	var first sync.WaitGroup
	first.Go(func() { old, _ = w.certs.get(t.Context(), "a.example.com", &choice) })
	<-loading
	w.renew(e)
	w.certs.Changed(e.Source.Certificate.Path())
	close(release)
	first.Wait()
	now, err := w.certs.get(t.Context(), "a.example.com", &choice)
	if err != nil || now.pair.Leaf.Equal(old.pair.Leaf) {
		t.Errorf("the pair from before the change is still used: %v", err)
	}
}

func TestClientThatGoesDoesNotEndTheLoad(t *testing.T) {
	w := newWorld(t)
	w.serve(w.site("a.example.com"))
	choice, _ := w.certs.Table().Find("a.example.com")
	w.files.gate = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.certs.get(ctx, "a.example.com", &choice); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the client", err)
	}
	close(w.files.gate)
	if _, err := w.certs.get(t.Context(), "a.example.com", &choice); err != nil || w.files.count() != 1 {
		t.Errorf("error %v after %d loads, want the one load to have gone on", err, w.files.count())
	}
}

func TestLoaderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(w.site("a.example.com"))
		w.files.gate = make(chan struct{})
		choice, _ := w.certs.Table().Find("a.example.com")
		start := time.Now()
		_, err := w.certs.get(t.Context(), "a.example.com", &choice)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		w.certs.Close() // waits for nobody
	})
}

// Whoever has a pair that would do does not wait long for another.
func TestLoaderThatHangsWhilePairsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e := w.site("a.example.com")
		w.serve(e)
		choice, _ := w.certs.Table().Find("a.example.com")
		old, err := w.certs.get(t.Context(), "a.example.com", &choice)
		if err != nil {
			t.Fatal(err)
		}
		w.files.gate = make(chan struct{})
		w.certs.Changed(e.Source.Key.Path())
		for _, want := range []time.Duration{patience, 0} {
			start := time.Now()
			again, err := w.certs.get(t.Context(), "a.example.com", &choice)
			if err != nil || again != old || time.Since(start) != want {
				t.Errorf("after %v: %v, want the old pair after %v", time.Since(start), err, want)
			}
		}
		w.certs.Close()
	})
}

// TestPairThatLosesTheNameItWasLoadedFor: it goes on for its other names, also when its
// file is broken then.
func TestPairThatLosesTheNameItWasLoadedFor(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com", "old.example.com")
	w.serve(e)
	if r := handshake(w.listener(ListenerOptions{}), w.trusting("old.example.com")); r.clientErr != nil {
		t.Fatal(r.clientErr)
	}
	e.Names = []string{"a.example.com", "new.example.com"}
	w.serve(e)
	w.files.put(e.Source.Certificate.Path(), []byte("no certificate"))
	w.certs.Changed(e.Source.Certificate.Path())
	if r := handshake(w.listener(ListenerOptions{}), w.trusting("a.example.com")); r.clientErr != nil {
		t.Error(r.clientErr)
	}
}

func TestLoadsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Loads = 2 })
		w.files.gate = make(chan struct{})
		table := bigTable(t, mostWaiting+50)
		w.certs.SetTable(table)
		var clients sync.WaitGroup
		for i := range mostWaiting {
			clients.Go(func() {
				name := fmt.Sprintf("site-%d.example.com", i)
				choice, _ := table.Find(name)
				_, _ = w.certs.get(t.Context(), name, &choice)
			})
		}
		synctest.Wait()
		if w.files.count() != 2 {
			t.Errorf("%d loads run, want 2", w.files.count())
		}
		choice, _ := table.Find("site-1030.example.com")
		if _, err := w.certs.get(t.Context(), "site-1030.example.com", &choice); !errors.Is(err, errBusy) {
			t.Errorf("error %v, want %v", err, errBusy)
		}
		w.certs.Close()
		clients.Wait()
		if _, err := w.certs.get(t.Context(), "site-1030.example.com", &choice); !errors.Is(err, errClosed) {
			t.Errorf("error %v, want %v", err, errClosed)
		}
	})
}

// TestPairReadHalfway: the first handshake of a name comes while another pair takes the
// place of the one that nobody has used yet. It waits for the other half; a mistake
// that stays is waited for once.
func TestPairReadHalfway(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com")
	w.serve(e)
	l := w.listener(ListenerOptions{})
	good := w.files.content[e.Source.Key.Path()]
	w.files.put(e.Source.Key.Path(), keyPEM(t, newKey()))
	done := make(chan result, 1)
	go func() { done <- handshake(l, w.trusting("a.example.com")) }()
	for w.files.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	w.files.put(e.Source.Key.Path(), good)
	r := <-done
	r.serialOf(t)

	other := w.site("b.example.com")
	w.serve(other)
	w.files.put(other.Source.Key.Path(), keyPEM(t, newKey()))
	handshake(l, w.trusting("b.example.com"))
	before := w.files.count()
	w.clock.advance(time.Second)
	if r := handshake(l, w.trusting("b.example.com")); !strings.Contains(fmt.Sprint(r.note.Reason), "does not belong") {
		t.Errorf("note %v", r.note.Reason)
	}
	if n := w.files.count() - before; n != 1 {
		t.Errorf("a pair that has been wrong for long was loaded %d times", n)
	}
}

func TestPairsThatAreGiven(t *testing.T) {
	w := newWorld(t)
	e := named("a.example.com")
	w.serve(e)
	certificate, key := w.ca.issue(t, "a.example.com")
	choice := w.certs.Table().Choices()[0]
	if err := w.certs.Put(choice, Material{Certificate: certificate, Key: key}); err != nil {
		t.Fatal(err)
	}
	err := w.certs.Put(choice, Material{Certificate: certificate, Key: keyPEM(t, newKey())})
	if err == nil || !strings.HasPrefix(err.Error(), "/sni/a.example.com.crt, /sni/a.example.com.key: the key does not belong") {
		t.Errorf("error %v", err)
	}
	r := handshake(w.listener(ListenerOptions{}), w.trusting("a.example.com"))
	r.serialOf(t)
	if w.files.count() != 0 {
		t.Error("a pair that was given is loaded")
	}
	if all := w.certs.Expiries(); len(all) != 1 || all[0].Name != "a.example.com" || all[0].Days(testTime) != 90 || all[0].Source != "/sni/a.example.com.crt" {
		t.Errorf("expiries %+v", all)
	}
}

func TestPreload(t *testing.T) {
	w := newWorld(t)
	broken := w.site("broken.example.com")
	w.files.remove(broken.Source.Key.Path())
	var entries []Entry
	for i := range 3 * mostPreloads {
		entries = append(entries, named(fmt.Sprintf("s%d.example.com", i), fmt.Sprintf("t%d.example.com", i)))
	}
	certificate, key := w.ca.issue(t, "*.example.com")
	for _, e := range entries {
		w.files.put(e.Source.Certificate.Path(), certificate)
		w.files.put(e.Source.Key.Path(), key)
	}
	w.serve(append(entries, w.site("*.example.org"), broken)...)
	own, err := OwnChoice(w.site("default.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	err = w.certs.Preload(t.Context(), append(w.certs.Table().Choices(), own)...)
	if err == nil || err.Error() != "/sni/broken.example.com.key: file does not exist" {
		t.Errorf("error %v, want that of the one broken pair", err)
	}
	w.certs.SetTable(w.certs.Table())
	if s := w.certs.Stats(); s.Loaded != 3*mostPreloads+2 || s.Failures != 1 {
		t.Errorf("%+v", s)
	}
}

func TestClientCAThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	e := w.asks(w.site("a.example.com"), RequireClientCert, newAuthority(t, "staff"))
	w.files.put(e.Policy.ClientCA.Path(), []byte("not PEM"))
	w.serve(e)
	r := handshake(w.listener(ListenerOptions{}), w.trusting("a.example.com"))
	if r.clientErr == nil || !strings.Contains(fmt.Sprint(r.note.Reason), "/ca/staff: client CA: there is no certificate") {
		t.Errorf("client %v, note %v: want no connection, and why", r.clientErr, r.note.Reason)
	}
}

func TestSwapsUnderLoadFailNoHandshake(t *testing.T) {
	w := newWorld(t)
	e := w.site("a.example.com")
	w.serve(e)
	l := w.listener(ListenerOptions{})
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r := handshake(l, w.trusting("a.example.com")); r.clientErr != nil || r.serverErr != nil {
					t.Errorf("client %v, server %v", r.clientErr, r.serverErr)
					return
				}
			}
		})
	}
	for range 30 {
		certificate, _ := w.ca.issue(t, "a.example.com")
		w.files.put(e.Source.Certificate.Path(), certificate)
		w.certs.Changed(e.Source.Certificate.Path())
		r := handshake(l, w.trusting("a.example.com"))
		r.serialOf(t)
	}
	close(stop)
	clients.Wait()
}
