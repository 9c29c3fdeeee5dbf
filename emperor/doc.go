// Package emperor keeps what should run equal to what runs.
//
// What should run is said by two kinds of files: the main file (Main), which has
// the front and what holds for all, and one file per vassal, which the imperial
// monitor reports as whole snapshots. What runs are the vassals (package vassal)
// and the router, a child process like any other.
//
// The one idea: one goroutine, the loop in (*Emperor).Run, compares the two
// whenever something may have changed (a snapshot, a signal, the end of a
// vassal) and tells each vassal what it should be. It never acts on a
// difference it was told about, only on one it sees; so a lost or doubled event
// does no harm. Everything slow happens elsewhere: each vassal and the router
// have a goroutine of their own, and the loop never waits for them.
//
// How it is cut, one file each:
//
//	options.go    the options of the main file that are ours
//	mainfile.go   main file → Main: read, checked, immutable
//	embedded.go   a main file that is itself about one app: whose line is whose
//	logs.go       where the log goes, and orders about log files
//	listeners.go  the front's listening sockets: bound and held here
//	router.go     the router child: started, configured, restarted
//	front.go      what vassals ask of the router; the vassal table
//	reading.go    vassal file → spec, read until it stands still
//	readahead.go  many new files at once, on all processors
//	hooks.go      programs that the main file wants run at certain moments
//	ondemand.go   emperor-on-demand-exec: which socket wakes a vassal
//	registry.go   snapshot → vassals
//	slots.go      how many start at once, and who first
//	stops.go      children that were stopped by a signal
//	visits.go     what the router says of single vassals
//	openfiles.go  whether we may open as many files as that takes
//	emperor.go    the loop
//	firststart.go the one app that does not come up is the emperor's end
//	upgrade.go    another binary takes over: tried, told, executed
//	takeover.go   and how it begins
//	state.go      what it is told
//	shutdown.go   the order in which everything ends
//	status.go     what the control socket shows
//	chronicle.go  what has happened to each vassal: events, and times for the stats
//	stats.go      the stats of uWSGI's emperor, and stats_vassal.go what its keys mean here
//	orders.go     signals and options that are orders; touch.go files whose touch is one;
//	              commands.go the sockets of uWSGI 2.1
//	survey.go     the same reading for `emperor check`: starts nothing
//
// State: the registry, the main file and the listeners belong to the loop; the
// vassal table has a mutex in front.go; what others may see is published as an
// immutable view. The package never imports the router: it is told by its caller
// how to check the router's options (Reader.ReadFront), and sends them on.
package emperor
