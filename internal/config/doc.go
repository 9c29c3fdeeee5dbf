// Package config turns a configuration in uWSGI's ini language into typed
// options. It knows the language and no option's meaning: each package declares
// its own options (Option), a Set joins the declarations, and Load reads files,
// command line and environment by them.
//
// # How a configuration is read
//
// Everything is one ordered list of key = value lines, as in uWSGI 2.0
// (uwsgi_setup in core/uwsgi.c, core/config.c). It is filled from, in this order,
//
//  1. the environment: UWSGI_FOO_BAR=v is foo-bar = v;
//  2. the command line, left to right (commandline.go);
//  3. files named by bare words of the command line.
//
// A line is handled the moment it is appended if its key acts while reading
// (directives.go): include and ini read another file right there (files.go),
// if-… and for… decide about the lines up to endif (logic.go), set adds a line.
// The values of these see the magic variables (%d, %n … magic.go, replaced in the
// raw text by package uini) and nothing else.
//
// Then four passes go over the finished list:
//
//   - $( ) environment.go: $(NAME), $(NAME:-default), $(NAME-default);
//   - @( ) placeholders.go: @(file) and, in the main file, exec:// and http://;
//   - %( ) placeholders.go: %(name) is the FIRST line called name, whether it
//     stands before or after; with spaces it is arithmetic, %(processes * 2);
//   - apply.go: lines become Values, options are validated by their type
//     (types.go), declared options are taken apart (custom.go). inherit reads its
//     file only now, and its lines go to the end, unexpanded.
//
// So for scalar options the LAST line wins (Config.Last), list options count
// every line in order (Config.All), and placeholders take the first.
//
// A key that no option declares is a placeholder if any %(key) refers to it, from
// wherever; otherwise it is a warning with a suggestion, under strict an error.
//
// # Main file and vassal
//
// The main file is ours: what uWSGI would swallow without a word (an unclosed
// block, a "%" that deletes a character, "abc" for a number, an unset $(PORT), a
// cycle) is an error with its place. A vassal's file is read to learn what it
// says, not to act on it: a real uWSGI will read it again. There the same things
// are warnings marked Tolerated, read as uWSGI reads them, and nothing in the
// file can make this process run a program, fetch a URL or wait on a pipe. What
// depends on such a thing is marked Unknown (Value) or listed in Config.Unread.
// Only what would hang or stop uWSGI itself is an error for a vassal too.
//
// Whose line it is matters where vassals belong to different people: a line is
// Author's, and the files that it names are reached with that author's rights
// (author.go; the rule itself is package rights'). What one person wrote into a
// line of another's (a placeholder, a loop, an included file) makes it the first
// one's line too.
//
// Besides, these differ from uWSGI on purpose: in the main file a block ends with
// its file, an included file may have blocks of its own inside a block, else
// exists, ":section" means the file that says so, and a reference is expanded to
// its end wherever it stands in the value.
package config
