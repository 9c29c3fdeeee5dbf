// Package vassal is one site and everything it needs to stay up: what its file
// says (Spec), the listening sockets held for it (Sockets), the processes that
// answer on them (generations), and the state machine that decides which of
// them should live.
//
// The one idea: a change never touches what runs. A changed file makes a new
// generation beside the old one; only when the new one has proved that it
// answers are new requests given to it, and only when the old one has finished
// what it had is it told to go. If the new one does not come up, nothing
// happened but a message.
//
// How it is cut:
//
//   - Read turns a file into a Spec. It is a pure function: it reads files (each
//     with the rights of whoever chose it), but never runs a program, resolves a
//     name or opens a socket. ReadApp (spec_app.go) does the same with lines of an
//     app that has no file.
//   - Sockets holds listening sockets, so that a restart or crash never refuses
//     a connection: the kernel queues it until the next generation accepts. A
//     generation that starts beside another gets fresh ones: bound beside the
//     path for a command, under exactly the same name for a uWSGI (twin.go), which
//     finds its sockets by name. rename(2) gives them the path when it is ready.
//     TCP and abstract addresses cannot be renamed: two uWSGI share them, and the
//     router holds requests while one leaves; a command waits for the other's end.
//   - machine.go is the explicit table (State, Event) → move. One goroutine, the
//     one in Run, owns the state; everybody else sends it events (inbox.go,
//     orders.go) and reads the published Status (show.go). steps.go is what a move
//     does, succession.go who may run beside whom, who waits for whom, and how many
//     old ones may linger.
//   - a generation (generation.go) is led by a goroutine of its own from its start
//     to its end; handover.go is the moment in which requests change sides.
//   - a uWSGI that can be told nothing any more is replaced as if it had died
//     (curse.go).
//   - a vassal that nobody wants anything of may sleep (sleep.go): its sockets are
//     held, and watched by one epoll for all sleepers (sentry.go). A request through
//     the router or a connection without it wakes it. Going to sleep is a hand-over to
//     nobody.
//   - a body is what a generation consists of: uwsgi.go runs an unmodified
//     uWSGI, command.go any other program (either.go: one of which nothing is
//     known but its command line), and static.go is an open folder, which the
//     router serves without any process. Bodies know nothing of states.
//   - a vassal can stand still, be described, and go on in another binary of its
//     emperor (carried.go, pausing.go, describe.go, adopt.go).
//   - capture.go is the pipe that is stdout and stderr of a generation, output.go who
//     hears of its lines; files, syslog and the journal are package logsink's. A uWSGI
//     writes its log file itself (uwsgi_logs.go).
//   - Front is the router, as far as a vassal needs it.
//
// Ownership: a Vassal ends every process, closes every descriptor and waits for
// every goroutine it started before Run returns. It does not watch files, read
// the main file, decide the order of starts, or talk to a service manager: that
// is the emperor's business.
package vassal
