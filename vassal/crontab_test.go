package vassal

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// fastClock is a clock on which a minute takes a second.
type fastClock struct{ began time.Time }

const faster = 60

func (c fastClock) Now() time.Time { return c.began.Add(time.Since(c.began) * faster) }

func (c fastClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d/faster, f).Stop
}

// fast makes a site's minutes short.
func fast(d *Deps) {
	d.Clock = fastClock{time.Now()}
	d.Defaults = Defaults{Boot: faster * deadline, Mercy: faster * deadline, Stop: 20 * time.Minute, Throttle: time.Second}
}

// TestCron: jobs run at their times, as long as the vassal does, and when it sleeps; a
// unique one does not overlap, and one that takes too long is ended.
func TestCron(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3")+
		"on-demand = true\n"+
		"cron = -1 -1 -1 -1 -1 "+note("ran", "it")+"\n"+
		"unique-cron = -1 -1 -1 -1 -1 sh -c 'echo began >> DIR/unique; exec sleep 1000'\n"+
		"cron2 = harakiri=30,unique=1 sh -c 'echo slow; sleep 1000'\n"+
		"cron = 0 0 29 2 -1 never\n", fast)
	s.eventuallyShown()
	s.until("asleep", func(st Status) bool { return st.State == Asleep })
	st := s.until("the job ran twice", func(st Status) bool {
		return len(st.Crons) == 4 && len(s.words("ran")) >= 2 && !st.Crons[0].Last.IsZero()
	})
	if st.State != Asleep {
		t.Errorf("a cron job has made it %s", st.State)
	}
	s.until("the slow one was ended", func(st Status) bool {
		return strings.Contains(st.Crons[2].Result, "it was ended, because it was not over after 30s (cron-harakiri)")
	})
	st = s.until("the unique one was left out", func(st Status) bool {
		return strings.Contains(s.log.String(), "a cron job is not started, because it still runs")
	})
	if began := s.words("unique"); len(began) != 1 || st.Crons[1].Running != 1 {
		t.Errorf("the unique one began %d times, %d run", len(began), st.Crons[1].Running)
	}
	if next := st.Crons[3].Next; next.Month() != time.February || next.Day() != 29 {
		t.Errorf("the last one is due at %s", next)
	}

	// It runs on over a start and an edit; a line that is gone is not started again.
	s.Wake("a test")
	s.ready(1)
	ran := len(s.words("ran"))
	s.until("it runs on", func(Status) bool { return len(s.words("ran")) > ran })
	if began := s.words("unique"); len(began) != 1 {
		t.Errorf("the unique one began %d times", len(began))
	}
	if err := s.Order(t.Context(), OrderStop); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); len(st.Crons) != 0 {
		t.Errorf("jobs of a stopped vassal: %+v", st.Crons)
	}
}

// TestCronOfAFolder: a vassal without a process may have jobs.
func TestCronOfAFolder(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", fast)
	s.eventuallyShown()
	s.write("[uwsgi]\nstatic = DIR\nhook-timeout = 3600\nenv = WORD=hello\ncron = -1 -1 -1 -1 -1 sh -c 'echo $WORD >> made'\nexec-pre-start = " + note("made", "first") + "\n")
	s.want()
	s.ready(1)
	s.until("the job ran", func(st Status) bool {
		return len(s.words("made")) > 1 && slices.Equal(s.words("made")[:2], []string{"first", "hello"})
	})
	s.cancel()
	<-s.ended
}
