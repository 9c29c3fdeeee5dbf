package config

import (
	"strings"

	"emperor/internal/near"
)

// Suggest finds the candidate that a misspelt name probably means; empty when
// none is near.
func Suggest(name string, candidates []string) string { return suggest(name, candidates) }

// suggest finds the spelling that was probably meant, in uWSGI's spelling: small
// letters and dashes.
func suggest(name string, candidates []string) string {
	best, _ := near.Word(strings.ToLower(strings.ReplaceAll(name, "_", "-")), candidates)
	return best
}

// didYouMean is the end of a message, empty without a suggestion.
func didYouMean(name string, candidates []string) string {
	if s := suggest(name, candidates); s != "" {
		return "; did you mean " + s + "?"
	}
	return ""
}
