package emperor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"emperor/emperor/monitor"
	"emperor/internal/config"
)

// A main file that has changed is read again, and what changed is applied; with a mistake
// in it everything goes on as before.

// checkMain reads the main file again if it, or what it includes, has changed.
func (e *Emperor) checkMain() (again bool) {
	print, known := e.snapshot.Owners[mainOwner]
	changed := known && print != e.mainPrint && print != e.mainSeen
	e.mainSeen = print
	if e.mainTries == 0 && (!changed || !e.main.WatchConfig) {
		return false
	}
	return e.reload(false)
}

// rereading is the wish that the main file be read again.
type rereading struct {
	why  string
	done chan error // told what came of it; holds one
}

// answerReloads tells who asked for it what came of reading the main file, unless that is
// being written.
func (e *Emperor) answerReloads() {
	if e.mainTries > 0 {
		return
	}
	var err error
	if len(e.reloaders) > 0 {
		err = e.problems.Err()
	}
	for _, done := range e.reloaders {
		done <- err
	}
	e.reloaders = nil
}

// reload reads the main file again and applies what changed; with mistakes
// nothing changes. again says that it is being written at the moment.
func (e *Emperor) reload(asked bool) (again bool) {
	known := e.program.Files
	before := monitor.FingerprintOf(known)
	e.loading.Store(true)
	main, files, problems := e.program.Reader.Read(e.program.Source)
	e.loading.Store(false)
	if before != monitor.FingerprintOf(known) && e.mainTries < patience {
		e.mainTries++
		return true
	}
	e.mainTries = 0
	e.program.Files = files
	e.mainPrint = monitor.FingerprintOf(files)
	if slices.Equal(files, known) {
		e.mainPrint = before
	}
	if e.main.WatchConfig {
		e.monitor.Watch(mainOwner, files)
	}
	err := problems.Err()
	renew := false
	if err == nil {
		renew = asked || main.App.same(e.main.App) && main.sameFront(e.main) // the file was touched
		err = e.apply(main, asked)
	}
	if err != nil {
		e.problems = problemsOf(problems, err)
		for _, p := range e.problems {
			e.log.Error(p.Error())
		}
		e.log.Error("the main file was not applied; everything goes on as before")
		e.chronicle.say("the main file was not applied: " + e.problems[0].Error())
		return false
	}
	e.problems = nil
	return e.registry.adopt(e.main, renew)
}

// apply makes a checked main file the one that holds. On an error nothing has
// changed.
func (e *Emperor) apply(main *Main, asked bool) error {
	old := e.main
	if err := errors.Join(main.missingMonitor(old), main.missingApp(old), main.unstartable(old)); err != nil {
		return err
	}
	sockets, err := e.prepareOrders(main)
	if err != nil {
		return err
	}
	applied := false
	defer func() {
		if !applied {
			sockets.discard()
		}
	}()
	var changes []string
	same := main.sameFront(old)
	// Who rotates logs moves them away, and says so with SIGHUP.
	if !same || asked && main.keepsLogs() {
		next, fresh, err := openListeners(main.Front.Listeners, e.listeners, e.inherited, frontModeOf(main))
		if err != nil {
			return err
		}
		if !e.open {
			err = e.router.Prepare(context.Background(), main.Front)
		} else {
			err = e.router.Configure(context.Background(), main.Front, next)
		}
		if err != nil {
			closeListeners(fresh)
			return fmt.Errorf("the router refused it: %w", err)
		}
		replaceListeners(e.log, e.listeners, next, fresh)
		e.listeners = next
		if !same {
			changes = append(changes, "front")
		} else {
			e.log.Info("log files of the front were opened anew")
		}
	}
	if !main.sameMonitor(old) {
		if err := e.monitor.Reconfigure(main.Monitor); err != nil { // it was checked when the file was read
			e.log.Error("the monitors stay as they were", "err", err)
		}
		changes = append(changes, "monitors")
	}
	if !main.sameForVassals(old) {
		changes = append(changes, "what holds for all vassals")
	}
	if later := main.needsRestart(old); len(later) > 0 {
		e.log.Warn("these changes take effect when the emperor is started anew", "options", strings.Join(later, ", "))
	}
	applied = true
	e.main = main
	e.settleOrders(main, sockets)
	e.watchMainTouch()
	if !same && e.open {
		e.issue()
	}
	switch {
	case len(changes) > 0:
		e.log.Info("the main file was applied", "changed", strings.Join(changes, ", "))
		e.chronicle.say("the main file was applied: " + strings.Join(changes, ", "))
	case asked:
		e.log.Info("the main file was read: nothing to change")
	}
	return nil
}

// problemsOf gives the mistakes behind err.
func problemsOf(problems config.Problems, err error) config.Problems {
	if errs := problems.Errors(); len(errs) > 0 {
		return errs
	}
	var p config.Problem
	if errors.As(err, &p) {
		return config.Problems{p}
	}
	return config.Problems{{Text: err.Error()}}
}
