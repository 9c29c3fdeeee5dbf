// Package commandline is the text of a command, as it stands behind an option (command,
// exec-pre-start, cron …), and the words that it means. Most lines need no shell and get
// none, so that signals reach the program itself; a line that does is given to /bin/sh.
// It is pure: text in, words out.
package commandline

import (
	"fmt"
	"strings"
)

// ShellOnly are the characters that mean something to a shell and nothing to
// Split, where they are not quoted.
const ShellOnly = "$`|&;<>()*?[]{}~#!\n"

// Split cuts a command line into words as a shell does: '…', "…" and \.
// needsShell reports an unquoted character only a shell understands (also $ and `
// within double quotes); then the words are not to be used.
func Split(line string) (words []string, needsShell bool, err error) {
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
			if strings.IndexByte(ShellOnly, c) >= 0 {
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

// Vector is the argument vector for a command line. What a shell must
// read goes to /bin/sh; "exec" lets the program take the shell's place, so that
// signals reach it, unless the line is more than one command.
func Vector(line string) ([]string, error) {
	words, needsShell, err := Split(line)
	if err != nil || !needsShell {
		return words, err
	}
	if strings.ContainsAny(line, "|&;()\n`") || strings.HasPrefix(strings.TrimSpace(line), "exec ") || strings.Contains(words[0], "=") {
		return []string{"/bin/sh", "-c", line}, nil
	}
	return []string{"/bin/sh", "-c", "exec " + line}, nil
}

// Join writes words so that a command option made of it starts exactly
// these words, without a shell.
func Join(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		if word == "" || strings.ContainsAny(word, " \t'\"\\"+ShellOnly) || i == 0 && strings.Contains(word, "=") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted[i] = word
	}
	return strings.Join(quoted, " ")
}
