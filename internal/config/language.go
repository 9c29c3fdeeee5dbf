package config

// Language declares the directives of the ini language itself, which every Set
// has and no other declaration can change. Those that Load carries out do not
// appear in Config.Values.
var Language = languageOptions()

func languageOptions() []Option {
	options := []Option{
		{Name: "ini", Help: "Read an ini file (FILE or FILE:SECTION) here."},
		{Name: "xml", Short: 'x', Help: "Read an XML file, for a vassal; the main file is ini."},
		{Name: "xmlconfig", Help: "The same as xml."},
		{Name: "yaml", Short: 'y', Help: "Read a YAML file, for a vassal; the main file is ini."},
		{Name: "yml", Help: "The same as yaml."},
		{Name: "json", Short: 'j', Help: "Read a JSON file, for a vassal; the main file is ini."},
		{Name: "js", Help: "The same as json."},
		{Name: "config", Help: "Read a file in a format of one of uWSGI's plugins (only a real uWSGI can)."},
		{Name: "include", Help: "Read another file here; its type comes from its extension."},
		{Name: "inherit", Help: "Read another file after everything else, so that it overrides; its text is taken literally."},
		{Name: "inject-before", Help: "Put a file's text before that of each file read from here on."},
		{Name: "inject-after", Help: "Put a file's text after that of each file read from here on."},
		{Name: "set", Short: 'S', Help: "Set an option or a placeholder: NAME=VALUE."},
		{Name: "set-placeholder", Help: "Set a placeholder: NAME=VALUE."},
		{Name: "set-ph", Help: "The same as set-placeholder."},
		{Name: "strict", Type: Flag, Help: "Refuse keys that are not options."},
		{Name: "blacklist", Help: "Forbid these options until end-blacklist."},
		{Name: "end-blacklist", Type: Flag, Help: "End the blacklist."},
		{Name: "whitelist", Help: "Forbid all but these options until end-whitelist (list that one too)."},
		{Name: "end-whitelist", Type: Flag, Help: "End the whitelist."},
		{Name: "declare-option", Help: "Declare an option made of others: NAME=OPTION=VALUE;… with $1, $2 … for its words."},
		{Name: "declare-option2", Help: "Like declare-option, effective for what is applied after it."},
		{Name: "early-envdir", Help: "Read environment variables from a directory of files at once."},
		{Name: "resolve", Help: "Set a placeholder to a host's IPv4 address: NAME=HOST."},
		{Name: "exit", Argument: Optional, Help: "Stop here (under an if-… that should not be true)."},
		{Name: "else", Type: Flag, Help: "The lines from here to endif count when the condition is false."},
	}
	conditions := map[string]string{
		"env": "the environment has NAME, or NAME=VALUE", "opt": "the option was set above, or to VALUE",
		"exists": "the path is readable", "file": "the path is a regular file", "dir": "the path is a directory",
		"plugin": "the uWSGI plugin is loaded", "hostname": "the host has this name",
		"hostname-match": "the host's name matches the regular expression", "reload": "this uWSGI was reloaded",
	}
	loops := map[string]string{
		"for": "each word", "for-glob": "each path that matches the pattern",
		"for-times": "each number from 1 to N", "for-readline": "each line of the file",
	}
	for name, condition := range openers {
		o := Option{Name: name}
		switch {
		case loops[condition] != "":
			o.Help = "Repeat each line up to endfor for " + loops[condition] + ", as %(_)."
		case condition[0] == '!':
			o.Help = "The lines up to endif count unless " + conditions[condition[1:]] + "."
		default:
			o.Help = "The lines up to endif count if " + conditions[condition] + "."
		}
		if condition == "reload" || condition == "!reload" {
			o.Argument = Optional
		}
		options = append(options, o)
	}
	for name := range closers {
		options = append(options, Option{Name: name, Type: Flag, Help: "End the open if-… or for…."})
	}
	for name, why := range map[string]string{
		"print": "emperor check --show prints the configuration", "iprint": "emperor check --show prints the configuration",
		"get": "emperor check --show prints the configuration", "show-config": "emperor check --show prints the configuration",
		"dump-options": "emperor options lists the options", "fallback-config": "a configuration with mistakes is refused, and a running one stays",
	} {
		options = append(options, Option{Name: name, Argument: Optional, Repeat: true, Ignored: why,
			Help: "Accepted without effect: " + why + "."})
	}
	for i := range options {
		options[i].Repeat = true
		options[i].Where = Both
	}
	return options
}
