package emperor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"emperor/internal/link"
)

// deaf is a router that hears everything and says nothing.
type deaf struct{}

func (deaf) Call(context.Context, link.Message, ...int) error { return nil }
func (deaf) Send(link.Message, ...int) error                  { return nil }

// TestPairsReadTogetherAreWatchedTogether: a crowd of first handshakes makes one list
// of files for the monitor, and not one for each, which would cost more with each.
func TestPairsReadTogetherAreWatchedTogether(t *testing.T) {
	dir := t.TempDir()
	const pairs = 300
	release := make(chan struct{})
	var lists [][]string
	c := &certificates{
		log: slog.New(slog.DiscardHandler),
		keeper: func(*link.Configuration) func(link.PairRequest) error {
			return func(link.PairRequest) error { return nil }
		},
		gather: func() { <-release },
	}
	c.use(&link.Configuration{})
	c.watchWith(func(_ string, files []string) { lists = append(lists, files) }) // c.mu is held
	var asked sync.WaitGroup
	ask := func(name string) {
		asked.Go(func() {
			c.answer(deaf{}, &link.Message{Pair: &link.PairRequest{Name: name, Certificate: filepath.Join(dir, name), Key: filepath.Join(dir, name)}})
		})
	}
	for i := range pairs {
		name := fmt.Sprint(i)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		ask(name)
	}
	for read := 0; read < pairs; {
		c.mu.Lock()
		read = len(c.read)
		c.mu.Unlock()
	}
	close(release)
	asked.Wait()
	if len(lists) != 1 || len(lists[0]) != pairs {
		t.Fatalf("%d lists", len(lists))
	}
	ask("0") // again: nothing new
	asked.Wait()
	if len(lists) != 1 {
		t.Errorf("a list for files that are watched")
	}
	ask("none")
	asked.Wait()
	if len(lists) != 1 {
		t.Errorf("a list for a file that is not there")
	}
}
