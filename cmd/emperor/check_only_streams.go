package main

import (
	"slices"
	"strings"

	"emperor/emperor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/rule"
)

// onlyStreams is reached for a vassal that requests can't be sent to. A rule for many
// hosts may well have it among its vassals: only one that means it is a mistake.
func (r *routes) onlyStreams(one *emperor.Surveyed, pos config.Pos, key string) {
	line, _ := one.Config.Last("protocol")
	said := "protocol = tcp (" + one.At(line.Pos).String() + ")"
	way := "route-sni = " + one.Name + ".example.com tcp:vassal:" + one.Name
	addresses := one.Spec.Addresses()
	has := func(address string) bool {
		return slices.ContainsFunc(addresses, func(a link.Address) bool { return a.Address == address })
	}
	for _, by := range r.table.Rules() {
		kind, target, literal := by.Target()
		named := kind == rule.Vassal && target == one.Name
		switch kind {
		case rule.Uwsgi, rule.HTTP, rule.FastCGI, rule.SCGI:
			named = slices.ContainsFunc(strings.Split(target, "|"), has)
		}
		if named && literal {
			r.warnOf(by, "requests are answered 502: vassal %s has %s, so it is asked nothing; streams lead there, as by %s", one.Name, said, way)
		}
	}
	for _, o := range r.main.Front.Options {
		address, _, _ := strings.Cut(o.Value, " ")
		if (o.Key == "http-to" || o.Key == "http-fallback") && has(address) {
			r.warn(config.Pos{File: o.File, Line: o.Line}, o.Key, "requests are answered 502: %s is vassal %s, which has %s, so it is asked nothing; streams lead there, as by %s", address, one.Name, said, way)
		}
	}
	if !r.reachedByStream(one.Name, addresses) {
		r.warn(pos, key, "no rule of streams reaches vassal %s, and with %s no other can: %s would", one.Name, said, way)
	}
}
