package vassal

import (
	"context"
	"fmt"
	"sync"

	"emperor/internal/link"
	"emperor/internal/rights"
)

// staticBody is a folder that the router serves: an open folder in place of
// processes. It never dies. Each generation opens the folder anew, with the rights of
// whoever named it, and the router serves what is asked for from the one it is handed.
type staticBody struct {
	surroundings
	folder *link.OpenFolder // nil before it is open

	once  sync.Once
	ended chan struct{}
}

func newStaticBody(s surroundings) *staticBody {
	return &staticBody{surroundings: s, ended: make(chan struct{})}
}

// boot opens the folder and asks the router whether it can serve it.
func (b *staticBody) boot(ctx context.Context) error {
	var err error
	b.folder, err = b.openFolder(ctx, "static", b.addresses())
	return err
}

// openFolder opens the spec's folder, which that option names, with the rights of
// whoever wrote the line, and asks the router whether it can serve it.
func (s *surroundings) openFolder(ctx context.Context, option string, addresses []link.Address) (*link.OpenFolder, error) {
	launch := &s.spec.Static
	reader := rights.NewReader(launch.As)
	defer reader.Close()
	directory, parent, err := reader.OpenFolder(launch.Files.Path, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %s: %w", launch.Pos, option, launch.Files.Path, rights.WithoutPath(err))
	}
	folder := link.NewOpenFolder(directory, parent)
	files := launch.Files
	row := link.Vassal{Name: s.name, Addresses: addresses, State: link.Ready, Generation: s.generation, Files: &files, Opened: folder}
	if err := s.try(ctx, row); err != nil {
		folder.Close()
		return nil, fmt.Errorf("%s: %s: %w", launch.Pos, option, err)
	}
	return folder, nil
}

func (b *staticBody) files() (*link.StaticFiles, *link.OpenFolder) {
	return b.spec.StaticFiles(), b.folder
}

func (b *staticBody) end(context.Context) {
	b.retire()
	if b.folder != nil {
		b.folder.Close()
	}
}

func (b *staticBody) retire()                   { b.once.Do(func() { close(b.ended) }) }
func (b *staticBody) died() <-chan struct{}     { return b.ended }
func (b *staticBody) cause() death              { return death{text: "retired"} }
func (b *staticBody) addresses() []link.Address { return b.spec.Addresses() }
func (b *staticBody) accepting() bool           { return false }
func (b *staticBody) promote() error            { return nil }
func (b *staticBody) quiet() bool               { return true }
func (b *staticBody) halt()                     {}
func (b *staticBody) alone() string             { return "" }
func (b *staticBody) busy() string              { return "" }
func (b *staticBody) connections() int          { return 0 }
