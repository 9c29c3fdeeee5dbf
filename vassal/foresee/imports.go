package foresee

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"emperor/vassal/spec"
)

// largestApp bounds what is read of an app's file, in bytes.
const largestApp = 64 << 10

// importLine is a line that imports whatever happens: one that is indented may be
// tried, or not be reached.
var importLine = regexp.MustCompile(`(?m)^(?:from[ \t]+([A-Za-z_][\w.]*)[ \t]+import\b|import[ \t]+([A-Za-z_][\w., \t]*?)[ \t]*(?:#.*)?$)`)

// builtinModules have no file: Python's, which it may be built with, and uWSGI's.
var builtinModules = strings.Fields(`__future__ _abc _ast _codecs _collections _functools _imp _io _locale _operator _signal
	_sre _stat _string _symtable _thread _tokenize _tracemalloc _warnings _weakref array atexit audioop binascii
	builtins cmath errno faulthandler fcntl gc grp itertools marshal math mmap posix pwd pyexpat resource select
	spwd sys syslog termios time unicodedata uwsgi xxsubtype zlib`)

// missesImport tells whether the app's file imports a module that is nowhere to be
// found. Python may know places that we do not, so this decides nothing but who starts
// first.
func (f *foresight) missesImport(dir string) (misses bool) {
	own, known := f.ownPlaces(dir)
	if !known {
		return false
	}
	_ = f.asUser("", func() {
		var modules []string
		for _, v := range f.Config.All("wsgi-file", "file") {
			if !v.Unknown {
				modules = append(modules, imports(spec.PathIn(dir, v.Value))...)
			}
		}
		for _, v := range f.Config.All("module", "wsgi") {
			if name := moduleOf(v); name != "" {
				for _, place := range own {
					modules = append(modules, imports(filepath.Join(place, strings.ReplaceAll(name, ".", "/")+".py"))...)
				}
			}
		}
		if len(modules) == 0 {
			return
		}
		places := append(own, f.sitePackages(dir)...)
		misses = slices.ContainsFunc(modules, func(module string) bool {
			return !slices.Contains(builtinModules, module) && !slices.ContainsFunc(places, func(place string) bool { return hasModule(place, module) })
		})
	})
	return misses
}

// imports are the modules, without their parts, that a file of Python imports.
func imports(path string) []string {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(file, largestApp))
	return importsOf(string(text))
}

func importsOf(text string) []string {
	var modules []string
	for _, found := range importLine.FindAllStringSubmatch(text, -1) {
		for name := range strings.SplitSeq(found[1]+found[2], ",") {
			name, _, _ = strings.Cut(strings.TrimSpace(name), " ") // as …
			name, _, _ = strings.Cut(name, ".")
			if name != "" {
				modules = append(modules, name)
			}
		}
	}
	return modules
}
