// Package vassal is one site and everything it needs to stay up: the processes that
// answer for it (generations), and the state machine that decides which of them should
// live. What can be understood without that has a room of its own below it:
//
//	spec         what a vassal is to be: its file, understood and checked; its options
//	foresee      what would keep it from starting although its file is in order
//	sockets      the listening sockets that are held for it
//	logs         what it writes, and who hears of it
//	probe        asks a program whether it works
//	pipe         what is said on a uWSGI's emperor descriptor
//	commandline  the text of a command and the words that it means
//	environment  the variables that programs start with
//	cron         the times of cron jobs
//	clock        time, so that a test can be its master
//
// None of them knows this package, and this package does not know foresee. A change of
// what a line means belongs in spec, one of when something happens here.
//
// The one idea: a change never touches what runs. A changed file makes a new
// generation beside the old one; only when the new one has proved that it
// answers are new requests given to it, and only when the old one has finished
// what it had is it told to go. If the new one does not come up, nothing
// happened but a message.
//
// How it is cut:
//
//   - machine.go is the explicit table (State, Event) → move. One goroutine, the
//     one in Run, owns the state; everybody else sends it events (inbox.go,
//     orders.go) and reads the published Status (show.go). steps.go is what a move
//     does, succession.go who may run beside whom, who waits for whom, and how many
//     old ones may linger.
//   - a generation (generation.go) is led by a goroutine of its own from its start
//     to its end; handover.go is the moment in which requests change sides. One that starts
//     beside another has sockets of its own, which get the path when it is ready. TCP and
//     abstract addresses cannot be renamed: two uWSGI share them, and the router holds
//     requests while one leaves; a command waits for the other's end.
//   - a uWSGI that can be told nothing any more is replaced as if it had died
//     (curse.go).
//   - a vassal that nobody wants anything of may sleep (sleep.go): its sockets are
//     held, and watched by one epoll for all sleepers. A request through
//     the router or a connection without it wakes it. Going to sleep is a hand-over to
//     nobody.
//   - a body is what a generation consists of: uwsgi.go runs an unmodified
//     uWSGI, command.go any other program (either.go: one of which nothing is
//     known but its command line), and static.go is an open folder, which the
//     router serves without any process. Bodies know nothing of states.
//   - a vassal can stand still, be described, and go on in another binary of its
//     emperor (carried.go, pausing.go, describe.go, adopt.go).
//   - what runs beside the generations: helpers.go, with daemon.go and crontab.go; hooks.go,
//     life.go and action.go run programs at certain moments, errand.go waits for their end.
//   - health.go asks the serving generation whether it works, remedy.go replaces one that
//     does not; memory.go one that has grown too large.
//   - Front (deps.go) is the router, as far as a vassal needs it.
//
// Ownership: a Vassal ends every process, closes every descriptor and waits for
// every goroutine it started before Run returns. It does not watch files, read
// the main file, decide the order of starts, or talk to a service manager: that
// is the emperor's business.
package vassal
