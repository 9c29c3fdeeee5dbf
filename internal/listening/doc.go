// Package listening tells who listens at an address of this machine, from outside:
// for messages that name the program in the way, and to know one's own socket from
// somebody else's. Nothing here listens, so no client is ever kept waiting or
// refused because somebody asked.
package listening
