package vassal

import (
	"fmt"
	"strings"
)

// shellOnly are the characters that mean something to a shell and nothing to
// splitWords, where they are not quoted.
const shellOnly = "$`|&;<>()*?[]{}~#!\n"

// splitWords cuts a command line into words as a shell does: '…', "…" and \.
// needsShell reports an unquoted character only a shell understands (also $ and `
// within double quotes); then the words are not to be used.
func splitWords(line string) (words []string, needsShell bool, err error) {
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case c == '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, false, fmt.Errorf("a quote ' is not closed")
			}
			word.WriteString(line[i+1 : i+1+end])
			i += end + 1
			inWord = true
		case c == '"':
			inWord = true
			i++
			for ; i < len(line) && line[i] != '"'; i++ {
				switch line[i] {
				case '\\':
					if i+1 < len(line) && strings.IndexByte("\"\\$`", line[i+1]) >= 0 {
						i++
					}
				case '$', '`':
					needsShell = true
				}
				word.WriteByte(line[i])
			}
			if i == len(line) {
				return nil, false, fmt.Errorf("a quote \" is not closed")
			}
		case c == '\\':
			if i+1 == len(line) {
				return nil, false, fmt.Errorf("nothing follows the last \\")
			}
			i++
			word.WriteByte(line[i])
			inWord = true
		default:
			if strings.IndexByte(shellOnly, c) >= 0 {
				needsShell = true
			}
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, false, fmt.Errorf("want a program and its arguments")
	}
	// NAME=value before the program is an assignment to a shell.
	if name, _, ok := strings.Cut(words[0], "="); ok && !strings.Contains(name, "/") {
		needsShell = true
	}
	return words, needsShell, nil
}

// commandVector is the argument vector for a command line. What a shell must
// read goes to /bin/sh; "exec" lets the program take the shell's place, so that
// signals reach it, unless the line is more than one command.
func commandVector(line string) ([]string, error) {
	words, needsShell, err := splitWords(line)
	if err != nil || !needsShell {
		return words, err
	}
	if strings.ContainsAny(line, "|&;()\n`") || strings.HasPrefix(strings.TrimSpace(line), "exec ") || strings.Contains(words[0], "=") {
		return []string{"/bin/sh", "-c", line}, nil
	}
	return []string{"/bin/sh", "-c", "exec " + line}, nil
}
