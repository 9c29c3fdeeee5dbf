// Package subscription keeps the table of nodes that announce themselves: uWSGI
// instances (subscribe-to) that tell the front by datagrams which site they serve
// and where they listen.
//
// The one idea: a node is its key and its address. An announcement adds it or says
// that it is still there, a withdrawal or silence takes it away; who sent it does
// not matter, so that the last word of an instance that ends does not take away
// the entry of the one that has its socket now (see Options.Held).
//
// Parse reads a datagram, Table holds the nodes. One goroutine reads datagrams and
// lets nodes expire; requests look a site up and get a View, which never changes.
// What a Table holds is bounded, in all and per sender, because anybody who can
// reach the port can send. Records carry a table from one router to the next.
package subscription
