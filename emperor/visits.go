package emperor

// What the router says of single vassals is passed on to them.

// folderMoved passes on that the folder of a vassal's files was replaced.
func (e *Emperor) folderMoved(name string, generation uint64) {
	if v := e.view.Load(); v != nil {
		if one, ok := v.vassals[name]; ok {
			one.site.Moved(generation)
		}
	}
}

// woken passes on that a request waits for a vassal that sleeps.
func (e *Emperor) woken(name string) {
	if v := e.view.Load(); v != nil {
		if one, ok := v.vassals[name]; ok {
			one.site.Wake("a request through the front")
		}
	}
}

// loyal passes on that a generation has answered its first request.
func (e *Emperor) loyal(name string, generation uint64) {
	if v := e.view.Load(); v != nil {
		if one, ok := v.vassals[name]; ok {
			one.site.Loyal(generation)
		}
	}
}

// silent passes on that a generation leaves requests without any answer.
func (e *Emperor) silent(name string, generation uint64) {
	if v := e.view.Load(); v != nil {
		if one, ok := v.vassals[name]; ok {
			one.site.Silent(generation)
		}
	}
}
