package emperor

import (
	"emperor/internal/config"
	"emperor/internal/proc"
	"emperor/vassal/spec"
)

// tyrantOptions say who vassals are, and what they can become, whatever is in their
// files.
var tyrantOptions = []config.Option{
	{Name: "emperor-tyrant", Type: config.Flag, Where: config.Main,
		Help: "Each vassal runs as the user and group that own its file, never as root; uid, gid and the like in it have no effect."},
	{Name: "emperor-tyrant-nofollow", Type: config.Flag, Where: config.Main,
		Help: "As emperor-tyrant; where the file is a symbolic link, the owner of the link counts."},
	{Name: "emperor-tyrant-initgroups", Type: config.Flag, Where: config.Main,
		Help: "With emperor-tyrant: vassals have all groups of which the owner of the file is a member, not only the file's."},
	{Name: "emperor-cap", Aliases: []string{"vassals-cap", "vassal-cap"}, Type: config.String, Where: config.Main,
		Help: "No vassal ever has other capabilities than these (and setpcap), whatever it executes: setuid,net_bind_service."},
}

// readTyrant reads them.
func (m *Main) readTyrant(problems *config.Problems) {
	c := m.Config
	if c.Bool("emperor-tyrant") || c.Bool("emperor-tyrant-nofollow") {
		m.tyrant = &spec.Tyrant{NoFollow: c.Bool("emperor-tyrant-nofollow"), InitGroups: c.Bool("emperor-tyrant-initgroups")}
		m.Monitor.Owners = true
	}
	if v, ok := c.Last("emperor-cap"); ok {
		set, err := proc.ParseCapabilities(v.Value)
		if err != nil {
			*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key, Text: err.Error()})
		}
		m.bounded, m.bounding = true, set
	}
	if m.App == nil {
		return
	}
	for _, o := range tyrantOptions {
		if v, ok := c.Last(o.Name); ok {
			*problems = append(*problems, config.Problem{Pos: v.Pos, Key: v.Key,
				Text: "it is about vassals, and here " + m.App.Line.Key + " (" + m.App.Line.Pos.String() + ") makes the main file one app: say uid, gid or cap of that"})
		}
	}
}

// sameTyrant tells whether vassals would run as the same users.
func (m *Main) sameTyrant(other *Main) bool {
	if (m.tyrant == nil) != (other.tyrant == nil) || m.tyrant != nil && *m.tyrant != *other.tyrant {
		return false
	}
	return m.bounded == other.bounded && m.bounding == other.bounding
}
