package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"emperor/emperor"
	"emperor/internal/config"
	"emperor/router"
	"emperor/vassal/spec"
)

// documented is one option as `emperor options` shows it.
type documented struct {
	config.Option
	where config.Where
}

// runOptions is `emperor options [WORD]`: what is honoured, and, with a word that
// matches, also what is only accepted.
func runOptions(args []string, out io.Writer) error {
	if len(args) > 1 {
		return usageError("options: want at most one word")
	}
	word := ""
	if len(args) == 1 {
		word = strings.TrimLeft(strings.ToLower(args[0]), "-")
	}
	all := everyOption()
	shown := 0
	for _, o := range all {
		if !o.mentions(word) || word == "" && o.Ignored != "" {
			continue
		}
		shown++
		o.write(out)
	}
	if shown == 0 {
		return &failure{exitFailed, fmt.Sprintf("no option's name or meaning has %q in it", word)}
	}
	return nil
}

// everyOption joins the declarations of all packages, sorted by name. An option
// that is declared for the main file and for vassals appears once.
func everyOption() []documented {
	byName := map[string]*documented{}
	for _, group := range [][]config.Option{emperor.Options, router.Options, spec.Options, config.Language, spec.ForeignOptions()} {
		for _, o := range group {
			where := o.Where
			if where == 0 {
				where = config.Both
			}
			if o.Ignored != "" {
				where = config.Vassal
			}
			known := byName[o.Name]
			if known == nil {
				byName[o.Name] = &documented{o, where}
				continue
			}
			if o.Ignored == "" {
				known.where |= where
			}
		}
	}
	for name, why := range emperor.WithoutEffect() {
		why = "without effect in the main file: " + why
		if known := byName[name]; known == nil {
			byName[name] = &documented{config.Option{Name: name, Ignored: why}, config.Main}
		} else if known.Ignored != "" {
			known.Ignored = why + "; in a vassal's: " + known.Ignored
		}
	}
	for name, why := range emperor.Refused() {
		_, why, _ = strings.Cut(why, ": ") // the reason itself
		why = "refused in the main file of vassals: " + why
		switch known := byName[name]; {
		case known == nil:
			byName[name] = &documented{config.Option{Name: name, Ignored: why}, config.Main}
		case known.Ignored != "":
			known.Ignored = why + "; in a vassal's: " + known.Ignored
		default:
			known.Help += " " + strings.ToUpper(why[:1]) + why[1:] + "."
		}
	}
	// An alias may have a meaning of its own in vassals, and stand-ins have none.
	for _, o := range byName {
		for _, alias := range o.Aliases {
			switch other := byName[alias]; {
			case other == nil || other == o:
			case other.Ignored != "":
				delete(byName, alias)
			default:
				other.where |= o.where
			}
		}
	}
	out := make([]documented, 0, len(byName))
	for _, o := range byName {
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b documented) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (o documented) mentions(word string) bool {
	return word == "" || strings.Contains(strings.ToLower(o.Name+" "+strings.Join(o.Aliases, " ")+" "+o.Help), word)
}

func (o documented) write(out io.Writer) {
	name := o.Name
	if len(o.Aliases) > 0 {
		name += " (" + strings.Join(o.Aliases, ", ") + ")"
	}
	facts := []string{o.Type.String()}
	if o.Repeat && o.Ignored == "" {
		facts = append(facts, "repeatable")
	}
	if o.Default != "" {
		facts = append(facts, "default "+o.Default)
	}
	switch o.where {
	case config.Main:
		facts = append(facts, "main file")
	case config.Vassal:
		facts = append(facts, "vassal, or the main file of one app")
	default:
		facts = append(facts, "main file and vassal")
	}
	if o.Ignored != "" {
		fmt.Fprintf(out, "%s\n    %s\n", name, o.Ignored)
		return
	}
	fmt.Fprintf(out, "%s\n    %s: %s\n", name, strings.Join(facts, ", "), o.Help)
}
