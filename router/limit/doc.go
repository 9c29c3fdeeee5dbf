// Package limit holds the counts that keep one visitor or one site from using up
// what all share. It decides and counts, and knows nothing of HTTP: what a refused
// request is answered is the engine's business.
//
//	Peers     connections at a time per address          taken when a connection is accepted
//	Rates     requests per second per host or visitor    asked when the head has been read
//	InFlight  requests at a time per vassal              taken before the vassal is connected
//	Pace      bytes per second of a client               asked before each write of an answer
//
// Everything here is bounded in memory whatever the network sends, costs no
// allocation while a limit is not reached, and can be given other limits at any
// time without forgetting who is counted or who waits.
package limit
