package vassal

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"emperor/internal/carry"
	"emperor/vassal/sockets"
	"emperor/vassal/spec"
)

// What a broken state says of a vassal is an error, and nothing worse.
func FuzzAdopt(f *testing.F) {
	spec, err := spec.Carry(&spec.Spec{Name: "site", Kind: spec.Command})
	if err != nil {
		f.Fatal(err)
	}
	for _, state := range []string{"asleep", "failed", "stopped", "waiting", "leaving", "ready", "starting", ""} {
		text, err := carry.Marshal(Carried{Name: "site", State: state, Specs: [][]byte{spec}, Wanted: 0, Spec: -1, RetryAt: time.Unix(1, 0)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c Carried
		if carry.Unmarshal(text, &c) != nil {
			return
		}
		c.Descriptors()
		c.Processes()
		c.WantedSpec(nil)
		c.Current, c.Draining, c.Helpers, c.Beside = nil, nil, nil, nil // theirs are real descriptors and processes
		_, _ = Adopt(Deps{Log: slog.New(slog.DiscardHandler), Defaults: Defaults{Environment: []string{}}}, &c, nil)
	})
}

// A vassal that sleeps stands still, is described, and sleeps on in another one, which
// whoever connects wakes.
func TestSleeperIsAdopted(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[uwsgi]\nsocket = DIR/s\non-demand = true\ncommand = "+play(t, "serve")+"\n", nil)
	s.until("asleep", func(st Status) bool { return st.State == Asleep })
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := s.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	s.Wake("somebody, while it stands still")
	described, err := s.Describe()
	if err != nil {
		t.Fatal(err)
	}
	registry := s.sockets.Describe()
	text, err := carry.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	// The other one has the descriptor under another number, as there is no exec here.
	fd, err := unix.FcntlInt(uintptr(registry.Held[0].Listener.FD), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	registry.Held[0].Listener.FD, registry.Held[0].Listener.Path = fd, ""
	var c Carried
	if err := carry.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if c.Woken == "" {
		t.Error("that somebody wants something of it was forgotten")
	}
	c.Woken = ""
	held := sockets.New()
	if problems := held.Adopt(registry); len(problems) > 0 {
		t.Fatal(problems)
	}
	held.Adopted()
	other, err := Adopt(Deps{Log: s.deps.Log, Starter: s.deps.Starter, Sockets: held, Defaults: s.deps.Defaults}, &c, nil)
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(t.Context())
	defer func() { end(); <-other.Done() }()
	go other.Run(life) // until end
	<-other.CarriedOn()
	if st := other.Status(); st.State != Asleep || st.Reason == "" {
		t.Errorf("%+v", st)
	}
	conn, err := net.Dial("unix", filepath.Join(s.dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "the other one is woken", func() bool { return other.Status().State != Asleep })
	// The first one goes on as if nothing had happened, with what it was told meanwhile.
	s.Resume()
	s.until("woken", func(st Status) bool { return st.State != Asleep })
}

// While a vassal stands still nothing is begun; afterwards everything is.
func TestPausedVassalWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[uwsgi]\nsocket = DIR/s\ncommand = "+play(t, "serve")+"\n", nil)
	s.ready(1)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := s.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	s.want()
	ordered := make(chan error, 1)
	go func() { ordered <- s.Order(ctx, OrderReload) }()
	c, err := s.Describe()
	if err != nil || c.State != "ready" || c.Current == nil || len(c.Current.Body.Processes) != 1 || len(c.Descriptors()) < 4 {
		t.Fatalf("%+v, %v", c, err)
	}
	if st := s.Status(); st.State != Ready || st.Generation != 1 || st.Starting != 0 {
		t.Errorf("something was begun: %+v", st)
	}
	s.mustGet("/")
	s.Resume()
	if err := <-ordered; err != nil {
		t.Error(err)
	}
	s.until("reloaded", func(st Status) bool { return st.State == Ready && st.Generation > 1 })
}
