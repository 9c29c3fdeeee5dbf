package foresee

import (
	"fmt"
	"os"
	"path/filepath"

	"emperor/internal/listening"
	"emperor/internal/proc"
)

// Running is what must not be taken for somebody else's when an emperor runs
// already, perhaps from the same files.
type Running struct {
	PID       int             // 0: none runs
	Addresses map[string]bool // its vassals' sockets
	// Hidden: one may run that we could not ask.
	Hidden bool
}

// Accuses says of the program that listens where we want to that it is in the way;
// the text is empty when it is the running emperor, or what that started. sure is
// false when it may be.
func (r Running) Accuses(who listening.Occupant, where string) (text string, sure bool) {
	own, _ := os.Executable()
	switch {
	case r.PID != 0 && who.PID != 0 && proc.Descends(who.PID, r.PID):
		return "", false
	case r.Hidden:
		return fmt.Sprintf("somebody listens %s (%s): if it is not the emperor that runs these files (which could not be asked), end it or choose another address", where, who), false
	case who.PID == 0 && r.PID != 0:
		return fmt.Sprintf("a program of another user listens %s: if the running emperor did not start it, end it or choose another address", where), false
	case who.Program != "" && who.Program == filepath.Base(own):
		return fmt.Sprintf("another emperor (process %d) has a socket %s: if it does not run these files, choose another address", who.PID, where), false
	}
	return fmt.Sprintf("another program listens %s (%s): end it, or choose another address", where, who), true
}
