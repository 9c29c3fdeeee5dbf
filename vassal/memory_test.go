package vassal

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"emperor/vassal/spec"
)

// TestOutgrown: a command that takes more memory than its file allows is replaced as
// after an edit, and not before its time is over.
func TestOutgrown(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"side by side": "reload-on-rss = 1", "alone": "reload-on-rss = 1\noverlap = false",
		"memory-limit": "memory-limit = 512K", "the last one counts": "memory-limit = 2G\nreload-on-rss = 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(commandSite(t, "serve", "fd=3"), "\ncommand", "\nmin-worker-lifetime = 1\n"+text+"\ncommand", 1)
			s := newSite(t, text, nil)
			first := s.ready(1)
			s.mustGet("/")
			second := s.ready(2)
			if lived := second.Since.Sub(first.Since); lived < time.Second {
				t.Errorf("it was replaced after %s", lived)
			}
			if log := s.log.String(); !strings.Contains(log, "MiB of memory, and ") || !strings.Contains(log, " (site.ini:") {
				t.Errorf("the log does not say why:\n%s", log)
			}
			s.mustGet("/")
		})
	}
}

// growing is a body that takes as much memory as is said for each look.
type growing struct {
	body
	gone  chan struct{}
	looks []uint64 // MiB
}

func (g *growing) died() <-chan struct{} { return g.gone }

func (g *growing) memory() (uint64, error) {
	now := g.looks[0]
	if g.looks = g.looks[1:]; len(g.looks) == 0 {
		close(g.gone)
	}
	return now << 20, nil
}

// TestGrowth: it is asked for a replacement at the first look that finds too much, never
// before the floor is over, and again only when that has passed once more.
func TestGrowth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New("site", Deps{Log: slog.New(slog.DiscardHandler)})
		b := &growing{gone: make(chan struct{}), looks: []uint64{50, 100, 101, 30, 200, 7}}
		spec := &spec.Spec{Memory: spec.Memory{Limit: 100 << 20, Floor: time.Minute}}
		g := &generation{number: 3, spec: spec, body: b, v: v}
		start := time.Now()
		var asked []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			v.awaitGrowth(t.Context(), g, b)
		}()
		for over := false; !over; {
			select {
			case <-v.inbox.ready:
				for _, m := range v.inbox.take() {
					if m.event != Outgrown || m.generation != 3 {
						t.Errorf("it said %+v", m)
					}
					asked = append(asked, time.Since(start))
				}
			case <-done:
				over = true
			}
		}
		// Looks at 60, 70, 80 s (too much), 140, 150 (too much), 210 s.
		if want := []time.Duration{80 * time.Second, 150 * time.Second}; !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
	})
}
