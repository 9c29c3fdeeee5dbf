package config

import (
	"os"
	"path"
	"sort"
	"strings"
)

// maxGlobbed bounds the directory entries one for-glob may look at, so that a
// pattern such as /*/*/*/* in somebody's file costs a moment and not minutes.
const maxGlobbed = 100_000

// glob is glob(3) with GLOB_MARK: sorted paths that match, directories ending in
// "/", "*" and "?" not matching a leading dot. complete is false when the budget
// of entries looked at was reached. dir is where relative patterns start. Who
// calls it has taken the rights with which it looks.
func glob(dir, pattern string, budget int) (matches []string, complete bool) {
	prefixes := []string{""}
	rest := pattern
	if trimmed := strings.TrimLeft(rest, "/"); len(trimmed) < len(rest) {
		prefixes, rest = []string{"/"}, trimmed
	}
	for rest != "" && len(prefixes) > 0 {
		segment, after, more := strings.Cut(rest, "/")
		rest = strings.TrimLeft(after, "/")
		var next []string
		for _, prefix := range prefixes {
			for _, name := range matchIn(dir, prefix, segment, &budget) {
				found := prefix + name
				info, err := os.Stat(absolute(dir, found))
				isDir := err == nil && info.IsDir()
				switch {
				case more && !isDir:
					continue
				case isDir:
					found += "/"
				}
				next = append(next, found)
			}
		}
		prefixes = next
	}
	sort.Strings(prefixes)
	return prefixes, budget > 0
}

// matchIn lists the names in one directory that match one segment.
func matchIn(dir, prefix, segment string, budget *int) []string {
	if !strings.ContainsAny(segment, `*?[\`) {
		if _, err := os.Lstat(absolute(dir, prefix+segment)); err != nil {
			return nil
		}
		return []string{segment}
	}
	segment = strings.ReplaceAll(segment, "[!", "[^")
	folder, err := os.Open(absolute(dir, prefix))
	if err != nil {
		return nil
	}
	defer folder.Close()
	var names []string
	for *budget > 0 {
		batch, err := folder.Readdirnames(1000)
		*budget -= len(batch)
		for _, name := range batch {
			if strings.HasPrefix(name, ".") && !strings.HasPrefix(segment, ".") {
				continue
			}
			if ok, _ := path.Match(segment, name); ok {
				names = append(names, name)
			}
		}
		if err != nil {
			break
		}
	}
	return names
}

// absolute prefixes a relative path without cleaning it.
func absolute(dir, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}
