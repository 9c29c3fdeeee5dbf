// Package link is the conversation between the emperor and its router: two
// processes of the same binary that share one inherited socketpair.
//
// The one idea: the emperor owns every fact (options, listening sockets, which
// vassal lives where and in which state) and tells the router; the router
// acknowledges what has taken effect and reports what only it can see (requests
// under way, connections that wait for a sleeping vassal). A message that must
// have taken effect before the next step carries a sequence number and is
// answered by an Ack with the same number; everything else is fire and forget.
//
// Frames are a length-prefixed JSON object; file descriptors ride along as
// SCM_RIGHTS (see Conn). Neither package emperor nor router imports the other:
// this package is all they have in common.
package link

import (
	"encoding/json"
	"time"
)

// State is what the router needs to know of a vassal's life: may bytes be sent
// to it now, later, or not at all.
type State string

const (
	// Ready: connect and send.
	Ready State = "ready"
	// Starting: connections are held until Ready, for as long as the limits allow.
	Starting State = "starting"
	// Asleep: like Starting, and the first connection must be reported (Wake).
	Asleep State = "asleep"
	// Failed: nothing runs and the emperor waits before it tries again; requests
	// are held as for Starting while Retry is near, otherwise refused with 503.
	Failed State = "failed"
	// Stopped: an operator's order; requests are refused with 503.
	Stopped State = "stopped"
)

// Address is one socket a vassal listens on, as the router connects to it.
type Address struct {
	// Address is a unix path, "@abstract" or "host:port". It is exactly the text
	// a rule would name.
	Address string `json:"address"`
	// Protocol is "uwsgi", "http", "fastcgi", "scgi", or Static.
	Protocol string `json:"protocol"`
	// Root is the folder of scripts that a FastCGI or SCGI program runs; it becomes
	// DOCUMENT_ROOT and SCRIPT_FILENAME. Empty for a program that needs none.
	Root string `json:"root,omitempty"`
	// Single: a connection is used for one request only. (A worker of a uWSGI with an
	// HTTP socket waits for the next request on a connection that is kept, and for
	// nobody else; or it closes the connection without having said so.)
	Single bool `json:"single,omitempty"`
}

// Vassal is one row of the vassal table: everything the router knows of a site.
type Vassal struct {
	Name       string    `json:"name"`
	Addresses  []Address `json:"addresses"`
	State      State     `json:"state"`
	Generation uint64    `json:"generation"`
	// Reason says in words why the state is what it is; it is for log lines.
	Reason string `json:"reason,omitempty"`
	// Retry is how many milliseconds from now the emperor will try again (Failed).
	Retry int64 `json:"retry,omitempty"`
	// Refuse: requests are not to wait for Retry, but to be refused until then.
	Refuse bool `json:"refuse,omitempty"`
	// Harakiri is how many milliseconds a request may take until its answer begins; 0: as
	// long as the front allows.
	Harakiri int64 `json:"harakiri,omitempty"`
	// Removed takes the row out of the table.
	Removed bool `json:"removed,omitempty"`
	// Files is set for a vassal of static files. It may have no address.
	Files *StaticFiles `json:"files,omitempty"`
	// Announces are the hosts for which it announces itself once it runs.
	Announces []Announcement `json:"announces,omitempty"`
	// Opened is their folder, while the vassal is ready. See Table.Borrow.
	Opened *OpenFolder `json:"-"`
}

// Announcement is one key that a vassal announces itself for (subscribe-to), and the
// address of the server that it tells.
type Announcement struct {
	Server string `json:"server"`
	Key    string `json:"key"`
}

// Option is one directive of the main file, expanded, with where it was written.
type Option struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
}

// Listener describes one listening socket of the front. Its descriptor is the
// entry of the message's descriptors with the same index as the Listener.
type Listener struct {
	// Option is the option that asked for it ("http", later "https", …).
	Option string `json:"option"`
	// Address is the text of the option's value; it names the listener.
	Address string `json:"address"`
	// Datagrams: it takes datagrams instead of connections.
	Datagrams bool `json:"datagrams,omitempty"`
	// Zerg: Address is that of a uWSGI which hands over the sockets to listen at, one
	// or more.
	Zerg bool   `json:"zerg,omitempty"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// Configuration is the whole front: the router compiles all of it, then swaps,
// or answers with the error and keeps what it had.
//
// The message's descriptors are those of the Listeners, then those of the
// Resources, both in their order.
type Configuration struct {
	Options   []Option   `json:"options"`
	Listeners []Listener `json:"listeners"`
	Resources []Resource `json:"resources,omitempty"`
}

// Descriptors is how many descriptors go with the configuration.
func (c *Configuration) Descriptors() int {
	n := len(c.Listeners)
	for i := range c.Resources {
		n += c.Resources[i].Kind.Descriptors()
	}
	return n
}

// ResourceKind says how a Resource reaches the router.
type ResourceKind string

const (
	Content ResourceKind = "content" // Content is the whole file; no descriptor
	Folded  ResourceKind = "folded"  // Content is what the files in a folder hold, an object of JSON by their names; no descriptor
	Owners  ResourceKind = "owners"  // Content is who owns the files in a folder, [uid, gid] by their names as JSON; no descriptor
	Listing ResourceKind = "listing" // Content is the names in a folder, and one level below it, a line each; no descriptor
	Folder  ResourceKind = "folder"  // two descriptors: the folder and its parent
	Log     ResourceKind = "log"     // one descriptor, to append to
)

// Descriptors is how many descriptors go with a resource of the kind.
func (k ResourceKind) Descriptors() int {
	switch k {
	case Folder:
		return 2
	case Log:
		return 1
	}
	return 0
}

// Resource is a file or folder that an option names and that the router, which
// is confined, can't open itself.
type Resource struct {
	Kind    ResourceKind `json:"kind"`
	Path    string       `json:"path"` // absolute
	Content []byte       `json:"content,omitempty"`
	// Served: the files below a folder are sent to clients, and not only looked at.
	Served bool `json:"served,omitempty"`
	// Optional: a file that cannot be opened is an empty one.
	Optional bool `json:"optional,omitempty"`
	// Option, File and Line are the directive that asks for it.
	Option string `json:"option"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

// Table is the vassal table: whole once per connection, numbered changes after.
// Two descriptors for each row whose files are opened go with it, in their order.
type Table struct {
	Number  uint64   `json:"number"`
	Full    bool     `json:"full,omitempty"`
	Vassals []Vassal `json:"vassals"`
}

// Kind says which field of a Message is meant.
type Kind string

const (
	// From the emperor.
	Configure Kind = "configure" // Configuration + descriptors; acknowledged
	Tabulate  Kind = "table"     // Table; acknowledged
	Hold      Kind = "hold"      // Vassal: send it no new request; acknowledged
	Release   Kind = "release"   // Vassal: requests may go again
	Drained   Kind = "drained"   // Vassal, Generation: acknowledged when no request to an older generation is under way
	Unused    Kind = "unused"    // Vassal, Quiet: acknowledged when no request to it is under way and none has been for that long; if that is 0 at once, with an error if one is
	Answered  Kind = "answered"  // Vassal, Generation: acknowledged when that has sent anything of an answer since the order came
	Forget    Kind = "forget"    // Sequence of a Drained, Unused or Answered that is no longer waited for
	Try       Kind = "try"       // Table of one row + descriptors: could it be served? Acknowledged; nothing is changed
	Leave     Kind = "leave"     // a successor has the listeners: stop accepting, serve who is connected to the end, exit
	Quit      Kind = "quit"      // stop accepting, answer what is under way, exit

	Loaded  Kind = "loaded"  // Material, or Error: the answer to the Load with the same Sequence
	Changed Kind = "changed" // Paths: these files of certificates differ from what was Loaded
	Prove   Kind = "prove"   // Challenges: all that are to be answered from now on; acknowledged

	// From the router, and to the others: those that come after it, and those that
	// still answer who is connected to them.
	Announced Kind = "announced" // Announced: the nodes that have announced themselves
	Tickets   Kind = "tickets"   // Tickets: what tickets of TLS sessions are sealed with

	// From the router.
	Ack     Kind = "ack"     // Sequence, Error
	Wake    Kind = "wake"    // Vassal: somebody waits for it
	Counted Kind = "counted" // Counters
	Loyal   Kind = "loyal"   // Vassal, Generation: it has answered its first request
	Silent  Kind = "silent"  // Vassal, Generation: it has left several requests in a row without any answer until its harakiri
	Load    Kind = "load"    // Pair: what a TLS handshake needs; answered by Loaded
	Leaving Kind = "leaving" // a signal reached the router: it drains, a successor may start now
	Moved   Kind = "moved"   // Vassal, Generation: its folder's name means another folder, which only the emperor may open; no Vassal: one of the configuration's
)

// Counters are the router's totals since it started.
type Counters struct {
	Requests    uint64            `json:"requests"`
	Connections int64             `json:"connections"`
	InFlight    int64             `json:"in_flight"`
	Vassals     map[string]uint64 `json:"vassals,omitempty"` // answered requests per vassal
}

// PairRequest asks for the files behind one server name.
type PairRequest struct {
	Name        string `json:"name"` // canonical; empty for a listener's own pair
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	ClientCA    string `json:"client_ca,omitempty"` // empty: none is needed
}

// Material is what they hold.
type Material struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
	ClientCA    []byte `json:"client_ca,omitempty"`
	// Missing says that Error is about a file that is not there.
	Missing bool `json:"missing,omitempty"`
}

// Message is one frame.
type Message struct {
	Kind          Kind           `json:"kind"`
	Sequence      uint64         `json:"sequence,omitempty"`
	Error         string         `json:"error,omitempty"`
	Vassal        string         `json:"vassal,omitempty"`
	Generation    uint64         `json:"generation,omitempty"`
	Quiet         time.Duration  `json:"quiet,omitempty"`
	Configuration *Configuration `json:"configuration,omitempty"`
	Table         *Table         `json:"table,omitempty"`
	Counters      *Counters      `json:"counters,omitempty"`
	Pair          *PairRequest   `json:"pair,omitempty"`
	Material      *Material      `json:"material,omitempty"`
	Paths         []string       `json:"paths,omitempty"`
	Challenges    []Challenge    `json:"challenges,omitempty"`
	// Announced and Tickets are the routers' own affair; the emperor only keeps them.
	// Tickets are as secret as keys.
	Announced json.RawMessage `json:"announced,omitempty"`
	Tickets   []byte          `json:"tickets,omitempty"`
}
