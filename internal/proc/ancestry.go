package proc

// Descends tells whether a process is another one, or was started by it, or by
// something that it started, for as long as all in between live.
func Descends(pid, from int) bool {
	const deepest = 100 // a chain that is longer was made of numbers given out anew
	for range deepest {
		if pid == from {
			return true
		}
		if pid <= 1 {
			return false
		}
		e, err := readEntry(pid, nil)
		if err != nil {
			return false
		}
		pid = e.parent
	}
	return false
}
