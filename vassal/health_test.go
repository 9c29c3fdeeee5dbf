package vassal

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"emperor/internal/link"
	"emperor/internal/testlog"
	"emperor/vassal/clock"
	"emperor/vassal/probe"
	"emperor/vassal/spec"
)

// patient is a body whose health a test decides.
type patient struct {
	s    surroundings
	ward *ward
	over chan struct{}
	once sync.Once
}

func (p *patient) boot(context.Context) error                   { return nil }
func (p *patient) accepting() bool                              { return false }
func (p *patient) died() <-chan struct{}                        { return p.over }
func (p *patient) cause() death                                 { return death{text: "told to"} }
func (p *patient) promote() error                               { return nil }
func (p *patient) retire()                                      { p.once.Do(func() { close(p.over) }) }
func (p *patient) quiet() bool                                  { return true }
func (p *patient) halt()                                        {}
func (p *patient) busy() string                                 { return "" }
func (p *patient) connections() int                             { return 0 }
func (p *patient) end(context.Context)                          { p.retire() }
func (p *patient) addresses() []link.Address                    { return nil }
func (p *patient) files() (*link.StaticFiles, *link.OpenFolder) { return nil, nil }
func (p *patient) alone() string                                { return "" }

func (p *patient) inquire(ctx context.Context, path string) error {
	p.ward.mu.Lock()
	p.ward.asked = append(p.ward.asked, time.Since(p.ward.begun))
	p.ward.mu.Unlock()
	return p.ward.answer(ctx, p.s.generation)
}

// ward is a vassal of patients, its router, and what was noted.
type ward struct {
	begun  time.Time
	answer func(ctx context.Context, generation uint64) error

	// What the router says.
	underWay string
	hears    bool

	mu     sync.Mutex
	asked  []time.Duration
	made   []time.Duration
	bodies []*patient
}

func (w *ward) Publish(context.Context, link.Vassal) error { return nil }
func (w *ward) Try(context.Context, link.Vassal) error     { return nil }
func (w *ward) Hold(context.Context, string) error         { return nil }
func (w *ward) Release(string)                             {}
func (w *ward) Drained(context.Context, string, uint64) error {
	return nil
}
func (w *ward) Unused(ctx context.Context, _ string, quiet time.Duration) error {
	if w.underWay == "" {
		clock.Sleep(ctx, clock.System{}, quiet)
		return ctx.Err()
	}
	if quiet > 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	return errors.New(w.underWay)
}
func (w *ward) Answered(ctx context.Context, _ string, _ uint64) error {
	if w.hears {
		clock.Sleep(ctx, clock.System{}, time.Second)
		return ctx.Err()
	}
	<-ctx.Done()
	return ctx.Err()
}

func well(context.Context, uint64) error { return nil }

func unwell(context.Context, uint64) error { return &probe.BadAnswer{Path: "/up", Status: "500"} }

func silent(ctx context.Context, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

// firstOnly is how the first generation answers; those after it are well.
func firstOnly(answer func(context.Context, uint64) error) func(context.Context, uint64) error {
	return func(ctx context.Context, generation uint64) error {
		if generation > 1 {
			return nil
		}
		return answer(ctx, generation)
	}
}

// TestHealth: who is taken for unhealthy, when, and what is done about it.
func TestHealth(t *testing.T) {
	asked := spec.Health{Path: "/up", Interval: 10 * time.Second, Timeout: 5 * time.Second, Threshold: 3}
	for _, test := range []struct {
		name   string
		ward   *ward
		adjust func(*spec.Spec)
		// made is when generations are started, in seconds from the first, within ten minutes.
		made []int
		want string // in the log
	}{
		{"well", &ward{answer: well}, nil, []int{0}, ""},
		{"says that it is not well", &ward{answer: firstOnly(unwell)}, nil, []int{0, 30}, "GET /up: /up is answered with status 500 (3 times in a row)"},
		{"silent", &ward{answer: firstOnly(silent)}, nil, []int{0, 45}, "GET /up: no answer within 5s (3 times in a row)"},
		{"says so although it answers others", &ward{answer: firstOnly(unwell), hears: true, underWay: "a request is under way"}, nil, []int{0, 30}, ""},
		{"answers others", &ward{answer: silent, hears: true}, nil, []int{0}, ""},
		{"late", &ward{answer: func(ctx context.Context, _ uint64) error {
			clock.Sleep(ctx, clock.System{}, 12*time.Second)
			return ctx.Err()
		}}, nil, []int{0}, ""},
		// One worker, and it works on a request that may still be answered.
		{"at work on a request", &ward{answer: firstOnly(silent), underWay: "a request is under way"}, nil, []int{0, 15 + 60}, ""},
		{"now and then", &ward{answer: flicker()}, nil, []int{0}, ""},
		// The next does no better, so the old one goes on; tried again after longer and longer.
		{"nobody is well", &ward{answer: unwell}, nil, []int{0, 30, 120, 240, 420}, "did not come up"},
		// It answers nobody, and neither does the next: each is replaced, with pauses.
		{"nobody answers", &ward{answer: silent}, nil, []int{0, 45, 90, 150, 270, 450}, ""},
		{"alone and not well", &ward{answer: unwell}, cannotOverlap, []int{0}, "it does answer, and another generation could only start when it has ended"},
		{"alone and silent", &ward{answer: firstOnly(silent)}, cannotOverlap, []int{0, 45}, ""},
		{"asked only when it is used, and it is not", &ward{answer: silent}, func(s *spec.Spec) { s.Health.OnlyUsed = true }, []int{0}, ""},
		{"asked only when it is used, and it is", &ward{answer: firstOnly(silent), underWay: "a request is under way"}, func(s *spec.Spec) { s.Health.OnlyUsed = true }, []int{0, 17 + 60}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec := &spec.Spec{Name: "site", Kind: spec.Command, Overlap: true, Health: asked}
				if test.adjust != nil {
					test.adjust(spec)
				}
				log := &testlog.Text{}
				v := test.ward.open(t, log, spec)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				test.ward.compare(t, log, test.made)
				if !strings.Contains(log.String(), test.want) || strings.Contains(log.String(), "mistake in this program") {
					t.Errorf("want %q in the log:\n%s", test.want, log)
				}
				if st := v.Status(); st.State != Ready && st.State != Reloading && len(test.made) < 4 {
					t.Errorf("it is %s", st.State)
				}
			})
		})
	}
}

// TestSilent: a vassal with a harakiri and no health-path is asked when it has left
// requests without any answer, and replaced if it gives none.
func TestSilent(t *testing.T) {
	for _, test := range []struct {
		name   string
		ward   *ward
		told   []uint64 // of that generation, at one minute
		adjust func(*spec.Spec)
		asked  []int
		made   []int
	}{
		{"never", &ward{answer: silent}, nil, nil, nil, []int{0}},
		{"it hangs", &ward{answer: firstOnly(silent)}, []uint64{1}, nil, []int{60, 75, 90}, []int{0, 95}},
		{"it hangs, and what it was asked for is under way", &ward{answer: firstOnly(silent), underWay: "a request is under way"}, []uint64{1}, nil, []int{60, 75, 90}, []int{0, 95}},
		{"it hangs and cannot overlap", &ward{answer: firstOnly(silent)}, []uint64{1}, cannotOverlap, []int{60, 75, 90}, []int{0, 95}},
		{"only some requests are slow", &ward{answer: well}, []uint64{1, 1}, nil, []int{60, 60}, []int{0}},
		{"another generation did", &ward{answer: silent}, []uint64{7}, nil, nil, []int{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec := &spec.Spec{Name: "site", Kind: spec.Command, Overlap: true, Health: spec.Health{Harakiri: 20 * time.Second, Interval: 10 * time.Second, Timeout: 5 * time.Second, Threshold: 3}}
				if test.adjust != nil {
					test.adjust(spec)
				}
				log := &testlog.Text{}
				v := test.ward.open(t, log, spec)
				time.Sleep(time.Minute)
				for _, generation := range test.told {
					v.Silent(generation)
					synctest.Wait()
				}
				time.Sleep(9 * time.Minute)
				synctest.Wait()
				test.ward.compare(t, log, test.made)
				test.ward.compareAsked(t, test.asked)
				if len(test.made) > 1 && !strings.Contains(log.String(), "any answer: no answer within 5s (3 times in a row)") {
					t.Errorf("log:\n%s", log)
				}
			})
		})
	}
}

func cannotOverlap(s *spec.Spec) { s.Overlap, s.OverlapReason = false, "overlap (site.ini:3)" }

// flicker fails twice of three times.
func flicker() func(context.Context, uint64) error {
	n := 0
	return func(ctx context.Context, g uint64) error {
		if n++; n%3 == 0 {
			return nil
		}
		return unwell(ctx, g)
	}
}

// open begins the life of a vassal; it ends with the test.
func (w *ward) open(t *testing.T, log *testlog.Text, spec *spec.Spec) *Vassal {
	w.begun = time.Now()
	v := New("site", Deps{Log: slog.New(slog.NewTextHandler(log, nil)), Front: w, Defaults: Defaults{Environment: []string{}}})
	v.newBody = func(s surroundings) body {
		w.mu.Lock()
		defer w.mu.Unlock()
		p := &patient{s: s, ward: w, over: make(chan struct{})}
		w.made, w.bodies = append(w.made, time.Since(w.begun)), append(w.bodies, p)
		return p
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { v.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	v.Want(spec, time.Time{})
	return v
}

func (w *ward) compare(t *testing.T, log *testlog.Text, want []int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var made []int
	for _, at := range w.made {
		made = append(made, int(at.Round(time.Second).Seconds()))
	}
	if !slices.Equal(made, want) {
		t.Errorf("started at %v s, want %v\n%s", made, want, log)
	}
}

func (w *ward) compareAsked(t *testing.T, want []int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var asked []int
	for _, at := range w.asked {
		asked = append(asked, int(at.Seconds()))
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked at %v s, want %v", asked, want)
	}
}

// TestHeartbeat: a uWSGI whose heartbeat stops is asked, and replaced only if it does
// not answer; one that promised nothing is never asked.
func TestHeartbeat(t *testing.T) {
	for _, test := range []struct {
		name   string
		ward   *ward
		every  time.Duration // 0: it promises nothing
		until  time.Duration
		adjust func(*spec.Spec)
		asked  []int
		made   []int
	}{
		{"no promise", &ward{answer: silent}, 0, 0, nil, nil, []int{0}},
		{"kept", &ward{answer: silent}, 10 * time.Second, time.Hour, nil, nil, []int{0}},
		{"stops, and it answers", &ward{answer: well}, 10 * time.Second, 25 * time.Second, nil, []int{50, 80, 110, 140, 170}, []int{0}},
		{"stops, and it does not", &ward{answer: firstOnly(silent)}, 10 * time.Second, 25 * time.Second, nil, []int{50, 65, 80}, []int{0, 85}},
		{"stops, and begins again", &ward{answer: silent}, 40 * time.Second, time.Hour, func(s *spec.Spec) { s.Health.Heartbeat = 40 * time.Second }, nil, []int{0}},
		{"stops, and it works", &ward{answer: silent, hears: true}, 10 * time.Second, 25 * time.Second, nil, []int{50, 86, 122, 158}, []int{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec := &spec.Spec{Name: "site", Kind: spec.UWSGI, Overlap: true}
				if test.adjust != nil {
					test.adjust(spec)
				}
				log := &testlog.Text{}
				test.ward.open(t, log, spec)
				synctest.Wait()
				for test.every > 0 && time.Since(test.ward.begun) < min(test.until, 3*time.Minute) {
					test.ward.bodies[0].s.heartbeat()
					time.Sleep(test.every)
				}
				time.Sleep(time.Until(test.ward.begun.Add(3 * time.Minute)))
				synctest.Wait()
				test.ward.compare(t, log, test.made)
				test.ward.compareAsked(t, test.asked)
			})
		})
	}
}
