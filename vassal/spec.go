package vassal

import (
	"time"

	"emperor/internal/config"
	"emperor/internal/link"
)

// Kind is how a vassal is run.
type Kind int

const (
	// Unknown: the file does not say what to run.
	Unknown Kind = iota
	// UWSGI: an unmodified uWSGI reads the file.
	UWSGI
	// Command: any program.
	Command
	// Static: a folder; no process. Recognised, not served yet.
	Static
)

func (k Kind) String() string {
	switch k {
	case UWSGI:
		return "uwsgi"
	case Command:
		return "command"
	case Static:
		return "static"
	}
	return "unknown"
}

// Socket is one address a vassal listens on.
type Socket struct {
	// Address is the text of the option: a path, "host:port", "@abstract". uWSGI
	// finds an inherited socket by exactly this text.
	Address string
	// Protocol is "uwsgi", "http", "fastcgi", "scgi"; other protocols of uWSGI are
	// named as it does ("raw", "https", "suwsgi", "puwsgi").
	Protocol string
	// Held: the emperor binds it and hands it over. Otherwise the program binds
	// it, and Why says why.
	Held bool
	Why  string
	Pos  config.Pos
}

// Spec is what a vassal's file says, read, checked and immutable.
type Spec struct {
	Name string
	// File is the absolute path of the vassal's file.
	File string
	Kind Kind
	// KindReason says what decided: "module (app.ini:3)".
	KindReason string
	Sockets    []Socket
	// Files are all files that were read: the vassal's, what it includes, what
	// vassals-include adds. A change of any is a change of the vassal.
	Files []string
	// Overlap: two generations may run at the same time. OverlapReason names the
	// option and line that forbid it.
	Overlap       bool
	OverlapReason string
	// Mercy is how long an old generation may finish what it has; 0: the default.
	Mercy time.Duration

	launch launch
}

// Addresses are the sockets the router can connect to, with their protocol.
// A vassal with port = auto has none before it runs; see Status.Addresses.
func (s *Spec) Addresses() []link.Address { return nil }

// Reading is what ReadSpec needs to know: the same inputs a uWSGI started by an
// emperor would get on its command line.
type Reading struct {
	Name string // the vassal's name
	File string // absolute path of the file, with ":section" if one is meant
	// Argument is the file as it is written on uWSGI's command line (relative to
	// Dir, as uWSGI's monitors do); empty: File.
	Argument string
	// Dir is the working directory of a uWSGI vassal: that of the file for a
	// directory monitor, the emperor's own for a glob.
	Dir string
	Env []string // environment for $(NAME); os.Environ style
	// Set are the main file's vassal-set, already expanded for this vassal.
	Set []config.Value
	// The files of vassals-include(-before) and vassals-inherit(-before), absolute.
	IncludeBefore, IncludeAfter, InheritBefore, InheritAfter []string
	// ExtraExtension: the file was accepted because of emperor-extra-extension,
	// so uWSGI gets it by --config.
	ExtraExtension bool
	// UWSGI is the path of the uwsgi binary, for magic variables.
	UWSGI string
	// Strict makes unknown options errors.
	Strict bool
}

// ReadSpec reads a vassal's file. The Spec is nil when there are errors among
// the problems; warnings alone leave it usable. It never runs a program or
// fetches a URL, and never opens or resolves an address.
func ReadSpec(r Reading) (*Spec, config.Problems) { return nil, nil }
