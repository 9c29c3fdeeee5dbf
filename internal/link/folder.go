package link

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Static is the protocol of an address at which nobody listens: it is only a name
// by which rules reach a vassal of static files, and the router answers by itself.
const Static = "static"

// StaticFiles is what a vassal of static files consists of.
type StaticFiles struct {
	// Path is the folder's name, for messages and for patterns on file names.
	Path string `json:"path"`
	// Options are the lines of the vassal that say how it is served (static-index,
	// mimefile …). The value of a mimefile is what is in the file.
	Options []Option `json:"options,omitempty"`
	// Opened: two descriptors go with the message, the folder and its parent.
	Opened bool `json:"opened,omitempty"`
}

// OpenFolder is the descriptors of a folder and of its parent, as long as somebody
// needs them: the generation that opened them, and messages that carry them.
type OpenFolder struct {
	mu                sync.Mutex
	directory, parent int // guarded by mu
	users             int // guarded by mu
}

// NewOpenFolder owns the descriptors from now on. Close must follow.
func NewOpenFolder(directory, parent int) *OpenFolder {
	return &OpenFolder{directory: directory, parent: parent, users: 1}
}

// Close lets go of them. Messages on their way still have them.
func (o *OpenFolder) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users--; o.users == 0 {
		_ = unix.Close(o.directory)
		_ = unix.Close(o.parent)
	}
}

// borrow is false when they are closed; otherwise Close must follow.
func (o *OpenFolder) borrow() (directory, parent int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users == 0 {
		return -1, -1, false
	}
	o.users++
	return o.directory, o.parent, true
}

// Borrow prepares the table for being sent: it marks the rows whose folder is open
// and returns the descriptors that go with them, which stay open until release is
// called. A row whose folder was closed is left out: its vassal has gone on, and a
// newer row follows.
func (t *Table) Borrow() (descriptors []int, release func()) {
	var borrowed []*OpenFolder
	rows := make([]Vassal, 0, len(t.Vassals))
	for _, row := range t.Vassals {
		if row.Opened != nil && row.Files != nil {
			directory, parent, ok := row.Opened.borrow()
			if !ok {
				continue
			}
			borrowed = append(borrowed, row.Opened)
			descriptors = append(descriptors, directory, parent)
			files := *row.Files
			files.Opened = true
			row.Files = &files
		}
		rows = append(rows, row)
	}
	t.Vassals = rows
	return descriptors, func() {
		for _, o := range borrowed {
			o.Close()
		}
	}
}

// Descriptors is how many descriptors go with the table.
func (t *Table) Descriptors() int {
	n := 0
	for i := range t.Vassals {
		if f := t.Vassals[i].Files; f != nil && f.Opened {
			n += 2
		}
	}
	return n
}

// ServesFolders tells whether the configuration names folders whose files are sent to
// clients.
func (c *Configuration) ServesFolders() bool {
	return slices.ContainsFunc(c.Resources, func(r Resource) bool { return r.Kind == Folder && r.Served })
}

// Descriptors are those of the folder and of its parent; they stay its own.
func (o *OpenFolder) Descriptors() (directory, parent int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.directory, o.parent
}
