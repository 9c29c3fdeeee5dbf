package control

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	words "emperor/internal/near"
)

// NameError says that a name does not stand for one vassal.
type NameError struct {
	Name string
	// Ambiguous: Near are the vassals it could be; else they are what looks like it.
	Ambiguous bool
	Near      []string
	// Others are the names there are, if none is near.
	Others []string
}

func (e *NameError) Error() string {
	switch {
	case e.Ambiguous:
		return fmt.Sprintf("%q could be %s", e.Name, enumerate(e.Near, "or"))
	case len(e.Near) > 0:
		return fmt.Sprintf("no vassal %q; did you mean %s?", e.Name, enumerate(e.Near, "or"))
	case len(e.Others) > 0:
		return fmt.Sprintf("no vassal %q; there is %s", e.Name, enumerate(e.Others, "and"))
	}
	return fmt.Sprintf("no vassal %q, there are none at all", e.Name)
}

// enumerate writes a list as people do, cut after eight.
func enumerate(list []string, word string) string {
	const most = 8
	if len(list) > most {
		return fmt.Sprintf("%s … (%d in all)", strings.Join(list[:most], ", "), len(list))
	}
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " " + word + " " + list[last]
}

// Resolve finds the vassal a person means: the one of exactly that name, else the
// only one of which it is the last part ("shop" for eu/shop) or whose file it names
// (shop.ini, vassals.d/shop.ini). The error is a *NameError.
func Resolve(name string, vassals []VassalStatus) (string, error) {
	var meant, all []string
	file := strings.TrimPrefix(filepath.Clean(name), "/")
	for _, v := range vassals {
		if v.Name == name {
			return name, nil
		}
		all = append(all, v.Name)
		if strings.HasSuffix(v.Name, "/"+name) || strings.HasSuffix(v.File, "/"+file) {
			meant = append(meant, v.Name)
		}
	}
	switch len(meant) {
	case 1:
		return meant[0], nil
	case 0:
		slices.Sort(all)
		return "", &NameError{Name: name, Near: near(name, all), Others: all}
	}
	slices.Sort(meant)
	return "", &NameError{Name: name, Ambiguous: true, Near: meant}
}

// near are the names of which name is a part or a slip of the keys, the nearest first.
func near(name string, all []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var list []candidate
	for _, other := range all {
		last := other[strings.LastIndexByte(other, '/')+1:]
		d := min(words.Distance(name, other), words.Distance(name, last))
		switch {
		case d <= max(1, len(name)/3):
		case len(name) > 1 && strings.Contains(other, name):
			d = len(other)
		default:
			continue
		}
		list = append(list, candidate{other, d})
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return a.distance - b.distance })
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.name
	}
	return names
}
