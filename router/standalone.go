package router

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"emperor/internal/link"
	"emperor/internal/resource"
)

// Load reads what a router without an emperor is to do: its configuration, with the
// content of its resources, and an open socket for each listener in it, which
// becomes the router's. accepted is
// called with whether all of it holds from now on.
type Load func() (c *link.Configuration, listening []int, accepted func(bool), err error)

// Standalone runs a router without an emperor: it knows no vassals and connects to
// the addresses that its rules name. It loads at once, and after each value of
// again; when there is a mistake then, everything goes on as before. It returns
// when ctx ended and the last request is answered.
func Standalone(ctx context.Context, load Load, again <-chan os.Signal, log *slog.Logger) error {
	r, err := New(log)
	if err != nil {
		return err
	}
	defer r.Close()
	moved := make(chan struct{}, 1)
	r.moved = func(string, uint64) {
		select {
		case moved <- struct{}{}:
		default: // it is about to be loaded
		}
	}
	if err := r.load(load); err != nil {
		return err
	}
	if r.current().certificates.issuance.on {
		log.Warn("acme has no effect: a router without an emperor orders no certificates")
	}
	for {
		select {
		case <-again:
			if err := r.load(load); err != nil {
				for line := range strings.Lines(err.Error()) {
					log.Error(strings.TrimSuffix(line, "\n"))
				}
				log.Error("the file was not applied; everything goes on as before")
				continue
			}
			log.Info("the file was applied")
		case <-moved:
			if err := r.load(load); err != nil {
				log.Error("a folder that rules serve was replaced, and the new one cannot be used: what was there before is served", slog.Any("err", err))
			}
		case <-ctx.Done():
			log.Info("stopping: finishing requests first")
			draining, cancel := context.WithTimeout(context.Background(), standaloneDrain)
			defer cancel()
			r.Hurry()
			r.Drain(draining)
			return nil
		}
	}
}

// standaloneDrain fits into the time that service managers and platforms give.
const standaloneDrain = 20 * time.Second

// load puts in force what load says.
func (r *Router) load(load Load) error {
	c, descriptors, accepted, err := load()
	if err != nil {
		return err
	}
	opened, err := resource.Open(c.Resources)
	descriptors = append(descriptors, opened...)
	if err != nil {
		closeAll(descriptors)
	} else {
		err = r.Configure(c, descriptors)
	}
	accepted(err == nil)
	return err
}
