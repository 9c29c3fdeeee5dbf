package router

import (
	"bytes"
	"errors"

	"emperor/router/fastcgi"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/static"
)

// A program that is given files, as PHP is, has to be told which: FastCGI leaves
// that to the web server. A path means, as with nginx's try_files $uri $uri/
// /index.php:
//
//	/shop/cart.php/7   the script /shop/cart.php, if there is one,
//	/logo.png          the file, which the router sends itself,
//	/shop/             the folder's index.php, or its index.html,
//	/shop              a redirect to /shop/, if that is a folder with an index.php,
//	anything else      the front controller, /index.php.
//
// To see what there is, the router needs the folder open: a vassal with
// document-root has it opened. Where a rule says setdocroot:, and the program may
// even be on another machine, the program is asked for what the path seems to mean,
// and for the front controller when it says that there is no such script. Then
// what keeps a path from going up to a file that is no script (x.jpg/y.php) is
// PHP-FPM's own security.limit_extensions.

const (
	indexScript  = "index.php"
	scriptSuffix = ".php"
)

var frontController = []byte("/" + indexScript)

// errNoScript: the program has not found the script, and done nothing. It is
// compared as it is.
var errNoScript = errors.New("the program says that there is no such script")

// noScriptLine is how PHP-FPM says so, beside a 404.
const noScriptLine = "Primary script unknown"

// documentRoot is where the scripts are: what a rule or http-var says
// (setdocroot:, DOCUMENT_ROOT), or else the vassal; "" if nobody does.
func (x *exchange) documentRoot(d *destination, to *target) string {
	if root, _ := x.given(d, "DOCUMENT_ROOT"); len(root) > 0 {
		return string(root)
	}
	return to.root
}

// openRoot is the document root where it is open; nil where it is not.
func (x *exchange) openRoot(d *destination, to *target) *static.Site {
	if x.pinned == nil || x.pinned.folder == nil || x.documentRoot(d, to) != to.root {
		return nil
	}
	return x.pinned.folder.site
}

// locate makes the variables that name the script, where the document root is
// known. Without one the program is taken for an application that looks at
// PATH_INFO. A configuration's own SCRIPT_FILENAME stands.
func (x *exchange) locate(d *destination, to *target) {
	root := x.documentRoot(d, to)
	if _, own := x.given(d, "SCRIPT_FILENAME"); own || root == "" {
		return
	}
	var s fastcgi.Script
	path, site := x.path, x.openRoot(d, to)
	if x.front {
		path = frontController
	}
	var err error
	x.paths, err = s.Locate(x.paths[:0], root, path, indexScript, scriptSuffix)
	if err != nil || site != nil && !isFile(site, s.Name) {
		// The front controller looks at REQUEST_URI. It gets no PATH_INFO: some
		// applications take that for the way from them to themselves.
		path = frontController
		if x.paths, err = s.Locate(x.paths[:0], root, path, indexScript, scriptSuffix); err != nil {
			return
		}
	}
	x.guessed = site == nil && !bytes.Equal(s.Name, frontController)
	x.unknown = false
	x.script = append(x.script,
		rule.Var{Name: "SCRIPT_FILENAME", Value: s.Filename},
		rule.Var{Name: "PATH_INFO", Value: s.PathInfo})
	x.tell(d, "SCRIPT_NAME", s.Name)
	x.tell(d, "DOCUMENT_ROOT", []byte(root))
}

func isFile(site *static.Site, path []byte) bool {
	regular, _ := site.Look(path)
	return regular
}

// answeredBeside answers what is beside the scripts: files, folders without a slash
// at their end, and what there is nothing for.
func (x *exchange) answeredBeside(d *destination, to *target) bool {
	if x.pinned == nil || x.pinned.folder == nil {
		return false
	}
	if x.pinned.folder.elsewhere {
		x.leave()
		x.answerElsewhere()
		return true
	}
	site := x.openRoot(d, to)
	if _, own := x.given(d, "SCRIPT_FILENAME"); own || site == nil {
		return false
	}
	defer x.askToReopen(site, x.site.name, x.pinned.number)
	var s fastcgi.Script
	var err error
	x.paths, err = s.Locate(x.paths[:0], "", x.path, indexScript, scriptSuffix)
	if err == nil && isFile(site, s.Name) {
		return false
	}
	reads := string(x.request.Method) == "GET" || isHead(x.request.Method)
	if _, folder := site.Look(x.path); folder && reads && x.path[len(x.path)-1] != '/' {
		if x.paths = append(append(append(x.paths[:0], x.path...), '/'), indexScript...); isFile(site, x.paths) {
			x.leave()
			x.redirectToFolder()
			return true
		}
	}
	x.files.Method, x.files.Fields, x.files.Target = x.request.Method, x.request.Fields, x.request.Target
	x.files.Path, x.files.Shown, x.files.Peek = x.path, nil, isFile(site, frontController)
	if x.files.Peek && !reads {
		return false
	}
	x.leave()
	return x.answerStatic(site, nil)
}

// redirectToFolder sends the client to the same path with a slash at its end.
func (x *exchange) redirectToFolder() {
	location := append(x.scratch[:0], "Location: "...)
	if bytes.HasPrefix(x.request.Path, []byte("//")) {
		location = append(location, "/."...) // or it would name another host
	}
	location = append(append(location, x.request.Path...), '/')
	if x.request.Query != nil {
		location = append(append(location, '?'), x.request.Query...)
	}
	x.scratch = append(location, "\r\n"...)
	x.mine = http1.Response{Minor: 1, Status: 301, Fields: x.mine.Fields[:0]}
	x.reply(nil, x.scratch)
}
