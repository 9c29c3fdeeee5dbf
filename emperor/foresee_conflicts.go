package emperor

import (
	"fmt"
	"path/filepath"
	"slices"

	"emperor/internal/config"
	"emperor/internal/listening"
	"emperor/vassal/spec"
)

// claim is an address that somebody wants for himself.
type claim struct {
	spec.Claim
	owner string // the vassal; empty: the front
}

// foreseeConflicts finds addresses that the front and a vassal want, or two
// vassals. It is told to the later one: the front is opened first, and of vassals
// the first by file name is shown as the owner.
func (s *Survey) foreseeConflicts(m *Main) {
	var claims []claim
	for _, l := range m.Front.Listeners {
		e, err := parseListener(l)
		if err != nil {
			continue // Read has told
		}
		c := claim{Claim: spec.Claim{Key: l.Option, Text: l.Address, Pos: config.Pos{File: l.File, Line: l.Line}}}
		if at, ok := e.addrPort(); ok {
			c.Port = at
		} else if e.network == "unix" {
			c.Path = realPath(e.text)
		}
		claims = append(claims, c)
	}
	for i := range s.Vassals {
		one := &s.Vassals[i]
		if one.Spec == nil {
			continue
		}
		for _, wanted := range one.Spec.Claims(one.Config) {
			c := claim{wanted, one.Name}
			c.Path, c.Pos = realPath(c.Path), one.At(c.Pos)
			if p := c.refused(claims); p != nil {
				if slices.ContainsFunc(m.vassalSet, func(v config.Value) bool { return v.Pos == p.Pos }) {
					p.Text += "; in the main file %%n does, while %n is the main file's own name"
				}
				one.Problems = append(one.Problems, *p)
				continue
			}
			claims = append(claims, c)
		}
	}
}

// refused says who has the address already; nil: nobody.
func (c claim) refused(claims []claim) *config.Problem {
	for _, other := range claims {
		samePath := c.Path != "" && c.Path == other.Path
		samePort := c.Port.IsValid() && other.Port.IsValid() && listening.Overlap(c.Port, other.Port)
		if !samePath && !samePort {
			continue
		}
		has := fmt.Sprintf("%s belongs to vassal %s (%s) already", c.Text, other.owner, other.Pos)
		switch other.owner {
		case "":
			has = fmt.Sprintf("%s is the front's: %s = %s (%s)", c.Text, other.Key, other.Text, other.Pos)
		case c.owner:
			has = fmt.Sprintf("%s is taken by %s = %s (%s) already", c.Text, other.Key, other.Text, other.Pos)
		}
		advice := "choose another path (%n in it stands for the file's name)"
		if samePort {
			advice = "choose another port, or a path such as /run/sites/%n.sock"
		}
		return &config.Problem{Pos: c.Pos, Key: c.Key, Text: has + ": " + advice}
	}
	return nil
}

// realPath makes two spellings of a socket's path one.
func realPath(path string) string {
	if path == "" || path[0] == '@' {
		return path
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return filepath.Clean(path)
}
