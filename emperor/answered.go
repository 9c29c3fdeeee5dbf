package emperor

import (
	"context"
	"errors"
	"slices"
	"sync"

	"emperor/internal/link"
)

// Answered implements vassal.Front. All routers are asked, and the first word
// counts: one that accepts no more may be the one that gets an answer.
func (f *front) Answered(ctx context.Context, name string, generation uint64) error {
	f.mu.Lock()
	routers := slices.Clone(f.routers)
	f.mu.Unlock()
	asking, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer calls.Wait() // no call outlives us
	defer cancel()
	answered := make(chan error, len(routers))
	for _, router := range routers {
		calls.Go(func() {
			answered <- router.Call(asking, link.Message{Kind: link.Answered, Vassal: name, Generation: generation})
		})
	}
	for range routers {
		select {
		case err := <-answered:
			if !errors.Is(err, link.ErrGone) {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// There is none, or all have gone: nobody can say what it has answered.
	<-ctx.Done()
	return ctx.Err()
}
