// Package relay carries bytes both ways between an accepted connection and one to
// an upstream, untouched, until both have said all they had to say.
//
// The one idea: the two directions end separately. When one side has sent its last
// byte, the other is told so by a half-close and may go on for as long as it likes;
// what they share is the limit on silence, because who sends a long answer is not
// idle for being told nothing.
//
//	r := relay.New(client, upstream, relay.Options{Early: hello, Idle: 10 * time.Minute})
//	result := r.Run() // r.Stop("drained") from elsewhere ends it
//
// Behind TLS a half-close is a close_notify, both ways. A client that ends without one
// has ended nevertheless, as nginx and HAProxy have it, since many do: unless it did so
// in the middle of a record, or was reset. Then what came of it is not all that was to
// come, and the reason says so.
//
// A connection on which nothing moves holds no buffer.
package relay
