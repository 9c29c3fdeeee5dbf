package sni

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A DirectoryName is a pair that a folder of sni-dir has.
type DirectoryName struct {
	Name   string // canonical, or a wildcard "*.example.com"
	Base   string // as the file is called: "WWW.example.com", "_wildcard_.example.com"
	Layout Layout
	CA     bool // there is a file of client CAs beside it
}

// Layout is how a name's files are called.
type Layout uint8

const (
	// CrtKey is NAME.crt and NAME.key, with NAME.ca.
	CrtKey Layout = iota
	// Bundle is NAME.pem with certificate and key, with NAME.ca.
	Bundle
	// Folder is NAME/fullchain.pem and NAME/privkey.pem, with NAME/ca.pem.
	Folder
)

// layouts are the endings of the files of each layout.
var layouts = [...]struct{ certificate, key, ca string }{
	CrtKey: {".crt", ".key", ".ca"},
	Bundle: {".pem", ".pem", ".ca"},
	Folder: {"/fullchain.pem", "/privkey.pem", "/ca.pem"},
}

// What of a name is there.
const (
	hasCrt = 1 << iota
	hasKey
	hasBundle
	hasFullchain
	hasPrivkey
	hasCA
	hasFolderCA
)

var endings = []struct {
	suffix string
	what   uint8
}{
	{"/fullchain.pem", hasFullchain}, {"/privkey.pem", hasPrivkey}, {"/ca.pem", hasFolderCA},
	{".crt", hasCrt}, {".key", hasKey}, {".ca", hasCA}, {".pem", hasBundle},
}

// ReadDirectory makes names of the file names below a folder of sni-dir, relative to
// it and in any order: "a.example.com.crt", "a.example.com/privkey.pem". What is no
// part of a pair (a README, a hidden file, a folder's other files) is left out
// without a word; half a pair and a name that is no host name are problems.
//
//	NAME.crt NAME.key [NAME.ca]                             uWSGI's
//	NAME.pem [NAME.ca]                                      certificate and key in one
//	NAME/fullchain.pem NAME/privkey.pem [NAME/ca.pem]       certbot's
//
// NAME is a host name, or "*." or "_wildcard_." and a host name. Of a name that is
// there in several ways the first of these counts.
func ReadDirectory(files []string) (names []DirectoryName, problems []error) {
	found := make(map[string]uint8, len(files)/2)
	for _, file := range files {
		if base, what := splitEnding(file); what != 0 {
			found[base] |= what
		}
	}
	names = make([]DirectoryName, 0, len(found))
	for base, what := range found {
		n := DirectoryName{Base: base, CA: what&hasCA != 0}
		switch {
		case what&hasCrt != 0 && what&hasKey != 0:
			n.Layout = CrtKey
		case what&hasBundle != 0:
			n.Layout = Bundle
		case what&hasFullchain != 0 && what&hasPrivkey != 0:
			n.Layout, n.CA = Folder, what&hasFolderCA != 0
		default:
			problems = append(problems, halfPair(base, what))
			continue
		}
		var err error
		if n.Name, err = nameOfBase(base); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", n.certificateFile(), err))
			continue
		}
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b DirectoryName) int {
		// Two spellings of one name: the canonical one first, as it counts.
		return cmp.Or(cmp.Compare(a.Name, b.Name), -cmp.Compare(a.Base, b.Base))
	})
	names = slices.CompactFunc(names, func(again, first DirectoryName) bool {
		if first.Name != again.Name {
			return false
		}
		problems = append(problems, fmt.Errorf("%s: the same name as %s, which counts", again.certificateFile(), first.certificateFile()))
		return true
	})
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return names, problems
}

// splitEnding takes the ending of a pair's file off; what is 0 if it has none.
func splitEnding(file string) (base string, what uint8) {
	if strings.HasPrefix(file, ".") {
		return "", 0
	}
	for _, e := range endings {
		base, ok := strings.CutSuffix(file, e.suffix)
		if ok && base != "" && !strings.Contains(base, "/") {
			return base, e.what
		}
	}
	return "", 0
}

func nameOfBase(base string) (string, error) {
	if rest, ok := strings.CutPrefix(base, "_wildcard_."); ok {
		base = "*." + rest
	}
	return canonicalPattern(base)
}

func (n *DirectoryName) certificateFile() string { return n.Base + layouts[n.Layout].certificate }

func halfPair(base string, what uint8) error {
	has, lacks := ".crt", ".key"
	switch {
	case what&hasCrt != 0:
	case what&hasKey != 0:
		has, lacks = ".key", ".crt"
	case what&hasFullchain != 0:
		has, lacks = "/fullchain.pem", "/privkey.pem"
	case what&hasPrivkey != 0:
		has, lacks = "/privkey.pem", "/fullchain.pem"
	case what&hasFolderCA != 0:
		has, lacks = "/ca.pem", "/fullchain.pem and privkey.pem"
	default:
		has, lacks = ".ca", ".crt and .key"
	}
	return fmt.Errorf("%s%s: there is no %s%s beside it", base, has, base, lacks)
}
