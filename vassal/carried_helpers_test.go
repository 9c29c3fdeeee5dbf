package vassal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"emperor/internal/carry"
	"emperor/vassal/logs"
	"emperor/vassal/sockets"
)

// TestRunIsAdopted: a run of a cron job that is under way while the emperor is replaced
// is seen through by the next, which hears what it says, starts no second one beside it,
// and knows when the job is due.
func TestRunIsAdopted(t *testing.T) {
	t.Parallel()
	s := newSite(t, commandSite(t, "serve", "fd=3")+"on-demand = true\n"+
		"unique-cron = -1 -1 -1 -1 -1 sh -c 'echo began >> DIR/ran; while ! test -e DIR/go; do sleep 0.02; done; echo said by it; echo ended >> DIR/ran'\n", fast)
	s.until("the job runs", func(st Status) bool {
		return len(st.Crons) == 1 && st.Crons[0].Running == 1 && len(s.words("ran")) == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := s.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	described, err := s.Describe()
	if err != nil {
		t.Fatal(err)
	}
	text, err := carry.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	var c Carried
	if err := carry.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	registry := s.sockets.Describe()
	if len(c.Beside) != 1 || len(c.Helpers) != 0 || len(c.Jobs) != 1 || c.Jobs[0].Next.IsZero() {
		t.Fatalf("described as %+v", c)
	}
	// The other one has descriptors of its own, as there is no exec here.
	for _, fd := range []*int{&c.Beside[0].Output.Read, &c.Beside[0].Output.Write, &registry.Held[0].Listener.FD} {
		if *fd, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			t.Fatal(err)
		}
	}
	registry.Held[0].Listener.Path = ""
	held := sockets.New()
	if problems := held.Adopt(registry); len(problems) > 0 {
		t.Fatal(problems)
	}
	deps := s.deps
	deps.Sockets, deps.Changed = held, nil
	other, err := Adopt(deps, &c, nil)
	if err != nil {
		t.Fatal(err)
	}
	held.Adopted()
	life, end := context.WithCancel(t.Context())
	defer func() { end(); <-other.Done() }()
	go func() { _ = other.Run(life) }() // until end
	<-other.CarriedOn()
	if st := other.Status(); len(st.Crons) != 1 || st.Crons[0].Running != 1 {
		t.Errorf("the other one knows of %+v", st.Crons)
	}
	eventually(t, "it is not started beside itself", func() bool {
		return strings.Contains(s.log.String(), "a cron job is not started, because it still runs")
	})
	if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end is noticed", func() bool {
		st := other.Status()
		return len(st.Crons) == 1 && !st.Crons[0].Last.IsZero()
	})
	if ran := s.words("ran"); !slices.Equal(ran[:2], []string{"began", "ended"}) {
		t.Errorf("it ran: %v", ran)
	}
	if !slices.ContainsFunc(other.Status().Lines, func(l logs.Line) bool { return l.Text == "said by it" }) {
		t.Errorf("what it said was not heard: %v", other.Status().Lines)
	}
	s.Resume()
}
