package vassal

// State is where a vassal is in its life. Exactly one goroutine, the one in
// (*Vassal).Run, changes it; everybody else reads a published Status.
type State uint8

const (
	New       State = iota // no file was read yet
	Starting               // a generation is on its way up, none serves
	Ready                  // a generation serves
	Reloading              // a generation serves, its successor is on its way up
	Switching              // requests are being handed over to the successor
	Stopping               // by order: everything is being ended
	Stopped                // by order: nothing runs
	Failed                 // nothing runs; the next try comes when the back-off is over
	Leaving                // the file is gone or the emperor ends: everything is being ended
	Gone                   // nothing is left; Run returns
	states                 // how many there are
)
