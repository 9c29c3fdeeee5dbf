package emperor

import "runtime/debug"

// startingPercent is how much garbage may lie about while the first vassals start, in
// percent of what is in use (GOGC). Thousands of files leave much of it in seconds, and
// whoever collects it has less processor for the vassals.
const startingPercent = 400

// collectLess lets garbage lie until the function that it gives is called, which also
// gives the memory back that only the start needed. That takes a moment.
func collectLess() (asBefore func()) {
	before := debug.SetGCPercent(startingPercent)
	if before < 0 || before > startingPercent { // whoever started us wants it so
		debug.SetGCPercent(before)
		return func() {}
	}
	return func() {
		debug.SetGCPercent(before)
		debug.FreeOSMemory()
	}
}
