package main

import (
	"strings"

	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router/stream"
)

// streamLeads warns of a rule that sends connections to nobody.
func (r *routes) streamLeads(one *stream.Rule) {
	nodes, fixed := one.Fixed()
	if !fixed {
		return // it leads to vassals that may come; see reached
	}
	file, line := one.Pos()
	warn := func(format string, args ...any) {
		r.warn(config.Pos{File: file, Line: line}, one.Key(), format, args...)
	}
	for i := range nodes {
		address := nodes[i].Address
		if name, ok := strings.CutPrefix(address, "vassal:"); ok {
			if len(r.vassals)+len(r.unread) > 0 {
				r.leadsToVassal(name, true, warn)
			}
		} else if !r.isSomebodys(address) {
			r.leadsToAddress(address, warn)
		}
	}
}

// reachedByStream tells whether a rule leads connections to a vassal, by its name or by
// one of its addresses.
func (r *routes) reachedByStream(name string, addresses []link.Address) bool {
	for _, one := range r.streams.Rules() {
		for _, target := range one.Addresses() {
			if called, ok := strings.CutPrefix(target, "vassal:"); ok {
				if canBe(called, name) {
					return true
				}
				continue
			}
			for _, a := range addresses {
				if canBe(target, a.Address) {
					return true
				}
			}
		}
	}
	return false
}
