// Package fastcgi speaks the web server's side of FastCGI 1.0 in its one role
// that is used, the responder: PHP-FPM, and everything else behind a
// fastcgi-socket.
//
// The one idea: the package is a pure codec. It does no I/O. Writer builds the
// records that start a request in the caller's buffer, AppendStdin and
// PutStdinHeader frame its body, Response takes the records of the answer
// apart. What comes out of Response is a CGI response ("Status: 404 Not
// Found", fields, body), which http1.Response.ParseCGI reads; what the program
// wrote to its standard error comes out apart from it, in lines.
//
//	w.Begin(out[:0])
//	w.VarBytes("REQUEST_METHOD", method) // … the variables of CGI, each once
//	out = w.Finish()
//	out = fastcgi.AppendStdin(out, body)
//	out = fastcgi.AppendStdinEnd(out)
//	// send out, then for what is read:
//	n, err := response.Decode(read) // read[:n] is CGI; io.EOF: that was all
//
// One request travels on a connection: PHP-FPM gives a worker to a connection,
// not to a request, so a kept one would hold a worker that does nothing.
//
// Locate finds, for a request's path, which script it means.
//
// Nothing here allocates per request once its buffers have grown.
package fastcgi
