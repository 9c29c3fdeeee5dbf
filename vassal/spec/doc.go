// Package spec is what a vassal is to be: the lines of its file, understood, checked and
// immutable. A new option of a vassal's file begins here.
//
// The one idea: Read is a function from files to a Spec. It reads (each file with the
// rights of whoever chose it), but never runs a program, resolves a name or opens a
// socket; so the same call serves a start, a reload, emperor check and emperor plan. What
// is wrong comes back as problems with file and line, and a Spec with errors is none.
// ReadApp does the same with lines of an app that has no file.
//
// How it is cut:
//
//   - spec.go has Spec, Reading and Read; kind.go decides who runs the file: an unmodified
//     uWSGI (uwsgi.go), any program (command.go) or nobody, for it is a folder (static.go).
//   - each capability has a file of its own with its options, its part of the Spec and the
//     function that reads it: announce.go, group.go, health.go, helpers.go, limits.go,
//     logs.go, memory.go, sleep.go, tcp.go, touch.go, user.go. options.go joins their
//     options, and knows those that are uWSGI's business (foreign.txt).
//   - address.go and socket_rules.go are where it listens and how sockets are made;
//     account.go and tyrant.go who it runs as; overlap.go whether two generations can live
//     side by side.
//   - fingerprint.go tells whether two Specs would run alike; carry.go takes one over to
//     the emperor's next binary; claims.go and protections.go say of one what people and
//     emperor check want to know.
//
// Fields keep the names under which earlier binaries have written them: see package carry
// before you rename one.
package spec
