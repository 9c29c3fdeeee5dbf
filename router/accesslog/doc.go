// Package accesslog writes one line for every request that the front has
// finished.
//
// The one idea: a request must neither wait for its line nor pay for it. The
// engine fills an Entry on its own stack, a Format that was compiled when the
// configuration was read appends it as text to a buffer of the request's, and a
// Writer copies that text into a bounded queue. One goroutine brings the queue to
// the file in large pieces. When the file is slower than the traffic, lines are
// lost, counted and reported, and requests go on.
//
//	format, err := accesslog.Compile("combined")        // when the configuration is read
//	writer := accesslog.NewWriter(file, accesslog.Options{Lost: …})
//	…
//	line = format.Append(line[:0], &entry)              // when a request has ended
//	writer.Write(line)
//
// What a visitor sends can't break out of its place in a line: control bytes,
// quotes, backslashes and bytes that are not text are escaped in every format, and
// the JSON forms are always valid JSON in valid UTF-8.
package accesslog
