package monitor

import (
	"path/filepath"
	"strings"
)

// configExtensions end the files that uWSGI takes for configuration
// (uwsgi_emperor_is_valid, case-sensitive).
var configExtensions = []string{".ini", ".xml", ".yml", ".yaml", ".js", ".json"}

// extension returns which of the known endings name has, the longest, or "".
func extension(name string, extra []string) string {
	longest := ""
	for _, list := range [][]string{configExtensions, extra} {
		for _, e := range list {
			if len(e) > len(longest) && strings.HasSuffix(name, e) {
				longest = e
			}
		}
	}
	return longest
}

// isVassalName tells whether a file of that name can be a vassal: it has a known
// ending and is neither hidden nor what an editor leaves behind for a moment. Most
// of those have no known ending anyhow (vim's 4913, sed's sedXXXX, app.ini~,
// .app.ini.swp, #app.ini#, .#app.ini); the check by name is for extra extensions.
// uWSGI starts ".ini" and ".hidden.ini" too; that is a surprise nobody wants.
func isVassalName(name string, extra []string) bool {
	switch {
	case strings.HasPrefix(name, "."), strings.HasSuffix(name, "~"):
		return false
	case strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#"):
		return false
	case name == "4913", isSedTemporary(name):
		return false
	}
	return extension(name, extra) != ""
}

// isSedTemporary knows what `sed -i` writes before it renames: sed and six letters
// or digits.
func isSedTemporary(name string) bool {
	rest, ok := strings.CutPrefix(name, "sed")
	return ok && len(rest) == 6 && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// assignNames gives each item without a name its own, and leaves the others as they
// are: a vassal's name stands in rules, logs and scripts, so it stays while the file
// stays, whatever appears beside it.
//
// The name is the file's without its extension. Items that would share one, found in
// the same scan, get their directory in front (eu/shop, us/shop), and more
// directories until they differ; app.ini and app.yml in one directory become
// conf/app.ini and conf/app.yml. One that comes later yields to those that have
// their names already. So a fresh start names by the set of files alone, and no
// edit renames what runs.
func assignNames(items []Item, extra []string) {
	taken := make(map[string]bool, len(items))
	var waiting []int
	for i, item := range items {
		if item.Name == "" {
			waiting = append(waiting, i)
		} else {
			taken[item.Name] = true
		}
	}
	for detail := 0; len(waiting) > 0; detail++ {
		count := make(map[string]int, len(waiting))
		for _, i := range waiting {
			count[nameOf(items[i].Path, detail, extra)]++
		}
		var unclear []int
		for _, i := range waiting {
			name := nameOf(items[i].Path, detail, extra)
			switch whole := name == items[i].Path; {
			case count[name] > 1 || taken[name] && !whole:
				unclear = append(unclear, i)
			default:
				items[i].Name = name
			}
		}
		for _, i := range waiting {
			if items[i].Name != "" {
				taken[items[i].Name] = true
			}
		}
		waiting = unclear
	}
}

// nameOf is the name of path in one degree of detail: shop, eu/shop, eu/shop.ini,
// sites/eu/shop, sites/eu/shop.ini … and in the end the path, which is like no other.
func nameOf(path string, detail int, extra []string) string {
	name := filepath.Base(path)
	if withExtension := detail > 0 && detail%2 == 0; !withExtension {
		// An extra extension written without its dot ("conf") leaves the dot behind.
		stem := strings.TrimSuffix(strings.TrimSuffix(name, extension(name, extra)), ".")
		if stem != "" {
			name = stem
		}
	}
	directories := splitPath(filepath.Dir(path))
	count := (detail + 1) / 2
	if count > len(directories) {
		return path
	}
	return strings.Join(append(directories[len(directories)-count:], name), "/")
}
