package emperor

import (
	"log/slog"
	"strings"
	"testing"

	"emperor/internal/testlog"
	"emperor/vassal"
)

// goesOn is a vassal that is further each time somebody looks.
type goesOn struct {
	*fakeSite
	states []vassal.State
}

func (s *goesOn) State() vassal.State {
	state := s.states[0]
	if len(s.states) > 1 {
		s.states = s.states[1:]
	}
	return state
}

// TestReadyWithItsCounts: vassals do not wait while they are counted, and whoever hears
// that all is ready, as a service manager does, is not told that some still start.
func TestReadyWithItsCounts(t *testing.T) {
	said := &testlog.Text{}
	r := &registry{entries: map[string]*entry{
		"slow": {name: "slow", site: &goesOn{&fakeSite{}, []vassal.State{vassal.Starting, vassal.Ready}}},
	}}
	n := &notifier{}
	for range 3 {
		n.tell(r, nil, true, slog.New(slog.NewTextHandler(said, nil)))
	}
	if text := said.String(); strings.Count(text, "msg=ready") != 1 || strings.Count(text, `vassals="1 vassal: 1 ready"`) != 1 {
		t.Errorf("it says %s", text)
	}
}
