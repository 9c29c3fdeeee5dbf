package emperor

import (
	"context"
	"fmt"

	"emperor/emperor/monitor"
	"emperor/internal/config"
	"emperor/vassal"
)

// Surveyed is one vassal file, read but not started.
type Surveyed struct {
	Name, File string
	Spec       *vassal.Spec // nil when there are errors among the problems
	Problems   config.Problems
	Config     *config.Config // its effective options, for showing
}

// Survey reads, once, every vassal file that the main file wants, and starts
// nothing. Mistakes that only show between files, such as two vassals that name
// one socket, are added to the problems of the later one.
func (m *Main) Survey(ctx context.Context) ([]Surveyed, error) {
	scanner, err := monitor.New(m.Monitor)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		_ = scanner.Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	var snapshot monitor.Snapshot
	select {
	case snapshot = <-scanner.Snapshots():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	owners := map[string]*vassal.Spec{}
	var out []Surveyed
	for _, item := range snapshot.Items {
		r := m.readOnce(item)
		one := Surveyed{Name: item.Name, File: item.Path, Spec: r.spec, Problems: r.problems, Config: r.config}
		if r.spec != nil {
			for i, a := range r.spec.Addresses() {
				other, taken := owners[a.Address]
				if !taken {
					owners[a.Address] = r.spec
					continue
				}
				p := config.Problem{Key: "socket", Text: fmt.Sprintf("%s belongs to vassal %s (%s) already", a.Address, other.Name, other.File)}
				p.Pos.File = item.Path
				if i < len(r.spec.Sockets) {
					p.Pos, p.Key = r.spec.Sockets[i].Pos, "socket"
				}
				one.Problems = append(one.Problems, p)
			}
		}
		out = append(out, one)
	}
	return out, nil
}
