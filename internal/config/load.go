package config

// Request says what to load.
type Request struct {
	// Set is every option that exists.
	Set *Set
	// File is "path.ini" or "path.ini:section". For a vassal it is read as uWSGI's
	// --ini; for the main file like a bare word at the end of Args, so after all
	// of them. It may be empty when Args carry everything.
	File string
	// Args is the command line after the program's name, in uWSGI's spelling.
	Args []string
	// Env is the environment (os.Environ's form) for $(NAME) and UWSGI_*.
	Env []string
	// Dir is the directory that relative paths start from; empty is the process's.
	Dir string
	// Vassal says that this is a vassal's file: no program is run and no URL
	// fetched for it (see Value.Unknown), and what only a real uWSGI will act on is
	// a warning.
	Vassal bool
	// IncludeBefore, IncludeAfter, InheritBefore and InheritAfter are the files of
	// vassals-include-before, vassals-include, vassals-inherit-before and
	// vassals-inherit: the paths, and where the main file asks for them, which is the
	// place that a message about one that can't be read is about.
	IncludeBefore, IncludeAfter, InheritBefore, InheritAfter []Value
	// SetBefore is vassal-set: set before the file is read, so the file wins for
	// scalar options and these win for placeholders. Magic variables in them have
	// been expanded by the caller (ExpandMagic), who passes the same text to uWSGI.
	SetBefore []Value
	// Late names placeholders that the caller fills in later, each with the one
	// value (possibly "") of its own option that does not count as a definition:
	// {"fd": "", "port": "auto"} keeps %(port) as written under "port = auto".
	Late map[string]string
	// EmperorPath is the path of the uwsgi binary (%b).
	EmperorPath string
	// Version is what %V becomes; empty is "2.0.21".
	Version string
	// Opener reaches the files; nil: with the rights of this process, whoever
	// names them.
	Opener Opener
}

// Load reads everything the request names and returns the effective
// configuration with all mistakes that were found, each with its place. It never
// panics and never hangs; with errors the Config is as complete as possible.
// The main file may run programs (exec://) and fetch URLs, each for at most ten
// seconds. Load may be called from any goroutine.
func Load(r Request) (*Config, Problems) {
	return newLoader(r).load()
}

func (l *loader) load() (*Config, Problems) {
	r := l.req
	l.readEnvironment()
	if r.Vassal {
		l.readVassal()
	} else {
		l.readMain()
	}
	l.closeBlock()
	l.expand()
	values := l.apply()
	l.checkKeys()
	file, _ := splitSection(r.File)
	return &Config{
		File: file, Values: values, Files: l.files,
		Foreign: l.foreign, UsedPlaceholders: l.used, Unread: l.unread, set: l.set,
	}, l.problems
}

// readMain reads the command line; bare words come after all options, as in
// uWSGI, and Request.File after them.
func (l *loader) readMain() {
	files := l.readCommandLine(l.req.Args)
	if l.req.File != "" {
		files = append(files, l.req.File)
	}
	for _, file := range files {
		l.loadByExtension(file, Pos{}, true)
	}
}

// readVassal follows the argument list with which an emperor starts a vassal
// (--inherit before, --include before, --set, the file, --inherit,
// --include). Inherited files are applied after everything else, in this order.
func (l *loader) readVassal() {
	l.addFiles("inherit", l.req.InheritBefore)
	l.addFiles("include", l.req.IncludeBefore)
	for _, v := range l.req.SetBefore {
		l.noteReferences(v.Value)
		l.block, l.running = nil, false
		l.append(&entry{key: v.Key, value: v.Value, has: v.HasValue, pos: v.Pos, quiet: true,
			unknown: v.Unknown, extended: v.Extended})
	}
	if l.req.File != "" {
		kind := foreignFormat(l.req.File)
		if kind == "" {
			kind = "ini"
		}
		l.add(&entry{key: kind, value: l.req.File, has: true, pos: Pos{File: l.req.File}})
	}
	for _, file := range l.readCommandLine(l.req.Args) {
		l.loadByExtension(file, Pos{}, true)
	}
	l.addFiles("inherit", l.req.InheritAfter)
	l.addFiles("include", l.req.IncludeAfter)
}

// addFiles adds the line that every vassal's file is read with, once for each file.
func (l *loader) addFiles(key string, files []Value) {
	for _, file := range files {
		l.add(&entry{key: key, value: file.Value, has: true, pos: file.Pos})
	}
}
