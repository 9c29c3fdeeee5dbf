package main

import (
	"slices"

	"emperor/emperor"
	"emperor/internal/link"
)

// mapped: where a request goes is said by its host alone, or by nodes that announce
// themselves, and needs no rule.
func (r *routes) mapped() bool {
	return slices.ContainsFunc(r.main.Front.Options, func(o link.Option) bool {
		return o.Key == "http-use-pattern" || o.Key == "http-use-base" || o.Key == "http-subscription-server"
	})
}

// announces: the vassal's file says that it announces itself, and there is who hears it.
func (r *routes) announces(one *emperor.Surveyed) bool {
	return one.Spec.AnnouncesItself() && r.mapped()
}
