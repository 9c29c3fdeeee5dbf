// Package compress decides whether and how a response is compressed on its way
// to the client, rewrites its head, and compresses its body piece by piece.
//
// The one idea: compression may not change when bytes arrive. A Stream is given
// what the vassal sent, as it came, and is told to flush when nothing more is
// there yet: then everything that was put in comes out, decodable, so that
// server-sent events and slow pages reach the client as they do uncompressed.
//
//	accepted.Read(request.Fields)                     // what the client can take
//	choice.Choose(policy, &accepted, request, response)
//	stream := pool.Get(choice.Encoding, policy.Level)  // nil: not compressed
//	if stream == nil { choice.Encoding = Identity }    // too many at once
//	choice.Rewrite(response)                           // head: Content-Encoding, Vary, ETag …
//	out, err = stream.Append(out[:0], piece, flush)
//	out, err = stream.Finish(out[:0])
//	stream.Release()
package compress
