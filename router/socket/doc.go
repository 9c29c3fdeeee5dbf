// Package socket is how the front waits: non-blocking sockets, and the one
// goroutine that asks the kernel which of them are ready (Poller).
//
// Go has such a poller itself. Two things make an own one worth it where nearly
// all work is system calls:
//
//   - It knows more. A read that returned less than there was room for has emptied
//     the socket, so the next one waits for the kernel's word instead of asking in
//     vain; a pooled connection of which nothing was heard need not be asked
//     whether it is still there.
//   - It waits in batches. As long as each look finds something, everybody who was
//     woken has a turn and then it looks again, without giving the processor up. Only
//     when there is nothing it waits as everybody does, in the runtime's poller with
//     its own epoll descriptor: an idle front uses no processor time.
//
// A Socket is the common part: a descriptor, its registration, one "ready" to wait
// for in each direction. Conn is an accepted connection (a net.Conn, so that
// crypto/tls and net/http can have it), Listener accepts them; package upstream
// builds the connections to vassals on Socket.
//
// System calls are made in their raw form, without telling the scheduler: none of
// them can block.
package socket
