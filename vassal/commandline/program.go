package commandline

import (
	"path/filepath"
	"slices"
	"strings"
)

// Program finds the program that a command line starts, and the words after it;
// empty when a shell decides what that is. sure: the vassal cannot start without it.
func Program(line string) (program string, rest []string, sure bool) {
	words, needsShell, err := Split(line)
	if err != nil {
		return "", nil, false
	}
	if !needsShell {
		words = behindEnv(words)
		return words[0], words[1:], true
	}
	vector, err := Vector(line)
	sure = err == nil && strings.HasPrefix(vector[2], "exec ") && len(words) > 0
	for i, word := range words {
		name, _, assignment := strings.Cut(word, "=")
		switch {
		case strings.ContainsAny(word, ShellOnly):
			return "", nil, false
		case assignment && name == "PATH":
			return "", nil, false // found by another path than we know of
		case assignment && !strings.Contains(name, "/"), word == "exec":
			continue
		case slices.Contains(shellWords, word):
			return "", nil, false
		}
		return word, nil, sure && i <= 1
	}
	return "", nil, false
}

// behindEnv takes env(1) and what it sets from the words: without what follows
// nothing starts either.
func behindEnv(words []string) []string {
	if filepath.Base(words[0]) != "env" {
		return words
	}
	for i, word := range words[1:] {
		name, _, assignment := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(word, "-"), assignment && name == "PATH":
			return words
		case !assignment:
			return words[i+1:]
		}
	}
	return words
}

// shellWords are commands of the shell itself, with which no program need be there.
var shellWords = strings.Fields(`. : [ alias break case cd command continue echo eval exit export false
	for getopts hash if kill local printf pwd read readonly return set shift source test times trap true
	type ulimit umask unalias unset until wait while`)
