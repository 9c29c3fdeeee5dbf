package router

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/http1"
	"emperor/router/static"
)

// folder is what a generation of a vassal of static files is served from.
type folder struct {
	site *static.Site // nil: why says why not
	why  error
	// elsewhere: this process may not read files, and is leaving; its successor may.
	elsewhere bool
}

// openFolder makes the folder of a row. It owns the descriptors. The error is why
// nothing can be served; the folder is usable all the same.
func openFolder(files *link.StaticFiles, descriptors []int) (*folder, error) {
	f := &folder{}
	if len(descriptors) < 2 {
		f.why = errors.New("the emperor has not opened the folder")
		return f, nil // it will, before the vassal is ready
	}
	options, problems := compileFiles(files.Options)
	if err := problems.Err(); err != nil {
		closeAll(descriptors)
		f.why = err
		return f, err
	}
	f.site, f.why = static.New(static.Root{
		Directory: descriptors[0], Parent: descriptors[1], Name: filepath.Base(files.Path), Path: files.Path,
	}, options)
	return f, f.why
}

// close ends what the folder holds. Answers under way go on; twice is fine.
func (f *folder) close() {
	if f != nil && f.site != nil {
		f.site.Close()
	}
}

// CheckFiles finds the mistakes in the lines of a vassal of static files.
func CheckFiles(options []link.Option) config.Problems {
	_, problems := compileFiles(options)
	return problems
}

// compileFiles reads the lines of a vassal that say how its files are served.
func compileFiles(lines []link.Option) (*static.Options, config.Problems) {
	o := &static.Options{}
	var problems config.Problems
	for _, line := range lines {
		if err := compileLine(o, line.Key, line.Value); err != nil {
			problems = append(problems, config.Problem{Pos: config.Pos{File: line.File, Line: line.Line}, Key: line.Key, Text: err.Error()})
		}
	}
	return o, problems
}

func compileLine(o *static.Options, key, value string) (err error) {
	switch key {
	case "static-index":
		if value == "" || strings.ContainsAny(value, "/ ") || value[0] == '.' {
			return fmt.Errorf("want the name of a file such as index.html, got %q", value)
		}
		o.Index = append(o.Index, value)
	case "static-try":
		o.Try, err = static.ParseTry(value)
	case "static-404":
		if strings.Trim(value, "/") == "" || slices.Contains(strings.Split(value, "/"), "..") {
			return fmt.Errorf("want a file below the folder, such as 404.html, got %q", value)
		}
		o.NotFound = value
	case "static-precompressed":
		o.Plain = slices.Contains([]string{"false", "no", "off", "0"}, strings.ToLower(value))
	case "static-skip-ext":
		if value == "" {
			return errors.New("want the end of a name, such as .php")
		}
		o.SkipExtensions = append(o.SkipExtensions, value)
	case "static-safe":
		if !filepath.IsAbs(value) {
			return fmt.Errorf("want the absolute path of a folder, got %q", value)
		}
		o.Outside = append(o.Outside, filepath.Clean(value))
	case "static-cache-control":
		var c static.CacheControl
		if c, err = static.ParseCacheControl(value); err == nil {
			o.CacheControl = append(o.CacheControl, c)
		}
	case "mimefile":
		var types map[string]string
		if types, err = static.ParseTypes([]byte(value)); err != nil {
			return err
		}
		if o.Types == nil {
			o.Types = map[string]string{}
		}
		for extension, mediaType := range types {
			o.Types[extension] = mediaType
		}
	default:
		var e static.Expires
		if e, err = static.ParseExpires(key, value); err == nil {
			o.Expires = append(o.Expires, e)
		}
	}
	return err
}

// attemptFiles answers a request for a vassal of static files. Nothing that was
// tried here would succeed in a second attempt.
func (x *exchange) attemptFiles(d *destination) outcome {
	x.leave()
	f := x.pinned.folder
	switch {
	case f.elsewhere:
		x.answerElsewhere()
	case f.site == nil:
		return outcome{err: f.why}
	default:
		x.files.Method, x.files.Fields, x.files.Target = x.request.Method, x.request.Fields, x.request.Target
		x.files.Path, x.files.Shown = x.path, nil
		if x.decision.Request.Path != nil {
			// Rules have changed the path; where a redirect leads is for the client.
			x.filePath, _ = x.request.AppendPath(x.filePath[:0])
			x.files.Shown = x.filePath
		}
		x.files.Peek = false
		x.answerStatic(f.site, nil)
		x.askToReopen(f.site, d.site.name, x.pinned.number)
	}
	return outcome{answered: true}
}

// askToReopen tells the emperor when the site's folder was replaced by one that we
// may not follow to by ourselves.
func (x *exchange) askToReopen(site *static.Site, vassal string, generation uint64) {
	select {
	case <-site.Moved():
		x.router.moved(vassal, generation)
	default:
	}
}

// answerElsewhere sends the client to our successor, which accepts at the same
// address: this connection, which was kept from earlier requests, is the only thing
// that leads here.
func (x *exchange) answerElsewhere() {
	x.down.closeAfter()
	location := append(x.scratch[:0], "Location: "...)
	if path := x.request.Path; len(path) > 1 && path[0] == '/' && (path[1] == '/' || path[1] == '\\') {
		location = append(location, "/."...) // or it would name another host
	}
	location = append(location, x.request.Path...)
	if len(x.request.Query) > 0 {
		location = append(append(location, '?'), x.request.Query...)
	}
	x.scratch = append(location, "\r\nCache-Control: no-store\r\n"...)
	x.mine = http1.Response{Minor: 1, Status: 307, Fields: x.mine.Fields[:0]}
	x.reply(nil, x.scratch)
}
