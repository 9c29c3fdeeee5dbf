package emperor

import (
	"fmt"
	"path/filepath"
	"slices"

	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/vassal/spec"
)

// Surveyed is one vassal file, read but not started.
type Surveyed struct {
	Name, File string
	Spec       *spec.Spec // nil when its file cannot be used
	Problems   config.Problems
	Config     *config.Config // its effective options, for showing

	item     monitor.Item
	unasked  bool     // what emperor-on-demand-exec would say of it is not known
	includes []string // the other files it was read from
	dir      string   // what relative names of files count from
}

// At completes a place in one of the vassal's files, which may be written as uWSGI
// writes it: from the directory that it works in.
func (s *Surveyed) At(pos config.Pos) config.Pos {
	if pos.File == "" || filepath.IsAbs(pos.File) {
		return pos
	}
	if full := filepath.Join(s.dir, pos.File); full == s.File || slices.ContainsFunc(s.includes, func(file string) bool { return filepath.Clean(file) == full }) {
		pos.File = full
	}
	return pos
}

// place completes the places of its problems.
func (s *Surveyed) place() {
	for i := range s.Problems {
		s.Problems[i].Pos = s.At(s.Problems[i].Pos)
	}
}

// Starts tells whether nothing is known that would keep the vassal from starting.
func (s *Surveyed) Starts() bool { return s.Spec != nil && len(s.Problems.Errors()) == 0 }

// Survey is everything that a main file wants.
type Survey struct {
	Vassals []Surveyed // sorted by File
	// Problems are about things that are no vassals, and, after Foresee, about what
	// all of them need.
	Problems config.Problems
	// Others are files beside the vassals' whose names are not those of vassals.
	Others []string
}

// Survey reads, once, every vassal file that the main file wants, and starts
// nothing.
func (m *Main) Survey() (*Survey, error) {
	if m.App != nil {
		// Its problems were told with the main file's.
		one := Surveyed{Name: AppName, File: m.Name(), Spec: m.App.Spec(), Config: m.App.Result.Config}
		return &Survey{Vassals: []Surveyed{one}}, nil
	}
	seen, err := monitor.Look(m.Monitor)
	if err != nil {
		return nil, err
	}
	s := &Survey{Others: seen.Others}
	if m.App != nil {
		r := m.readingOfApp()
		// Its problems were told when the main file was read.
		s.Vassals = []Surveyed{{Name: AppName, File: m.Name(), Spec: r.spec, Config: r.config, item: m.items(monitor.Snapshot{})[0], includes: r.includes}}
		return s, nil
	}
	for _, passed := range seen.Passed {
		text := passed.Why
		if passed.Pos != "" {
			text += fmt.Sprintf(" (emperor = … in %s finds it)", passed.Pos)
		}
		s.Problems = append(s.Problems, config.Problem{Pos: config.Pos{File: passed.Path}, Text: text})
	}
	for _, item := range seen.Items {
		r := m.readOnce(item, unasked)
		one := Surveyed{
			Name: item.Name, File: item.Path, Spec: r.spec, Problems: slices.Clone(r.problems), Config: r.config,
			item: item, unasked: m.onDemand.Exec.Value != "", includes: r.includes, dir: m.reading(item).Dir,
		}
		one.place()
		s.Vassals = append(s.Vassals, one)
	}
	return s, nil
}
