// Package near finds, among the names there are, the one that somebody probably
// meant: for the "did you mean" at the end of a message.
package near

// Distance is how many letters must be put in, taken out, replaced or swapped with
// their neighbour to get from a to b.
func Distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Word is the candidate with the smallest distance, if that is small for the
// length of the word; of several the first.
func Word(word string, candidates []string) (nearest string, ok bool) {
	if len(word) < 3 {
		return "", false // anything is near a word that short
	}
	smallest := 2 + len(word)/5
	for _, candidate := range candidates {
		if longer := len(candidate) - len(word); longer >= smallest || -longer >= smallest {
			continue
		}
		if d := Distance(word, candidate); d < smallest {
			nearest, smallest, ok = candidate, d, true
		}
	}
	return nearest, ok
}
