package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"emperor/emperor/control"
)

// The scripts of the shells know nothing: they ask `emperor complete WORD…` with what
// stands on the line, the last word being the one under the cursor, and get one
// candidate a line. Where there is none they complete file names.
var completions = map[string]string{
	"bash": `_emperor() {
	local IFS=$'\n'
	COMPREPLY=($(compgen -W "$(emperor complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -o bashdefault -F _emperor emperor
`,
	"zsh": `#compdef emperor
_emperor() {
	local -a candidates
	candidates=("${(@f)$(emperor complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	candidates=(${candidates:#})
	if (( ${#candidates} )); then compadd -- $candidates; else _files; fi
}
compdef _emperor emperor
`,
	"fish": `function __emperor_complete
	set -l words (commandline -opc) (commandline -ct)
	emperor complete $words[2..-1] 2>/dev/null
end
complete -c emperor -a '(__emperor_complete)'
`,
}

// runCompletion is `emperor completion bash|zsh|fish`.
func runCompletion(args []string, out io.Writer) error {
	if len(args) != 1 || completions[args[0]] == "" {
		return usageError("completion: want bash, zsh or fish, as in: emperor completion bash > /etc/bash_completion.d/emperor")
	}
	_, err := io.WriteString(out, completions[args[0]])
	return err
}

// runComplete is what the scripts ask.
func runComplete(args []string, out io.Writer) error {
	last := ""
	if len(args) > 0 {
		last = args[len(args)-1]
		args = args[:len(args)-1]
	}
	for _, candidate := range candidates(args, last) {
		if strings.HasPrefix(candidate, last) {
			fmt.Fprintln(out, candidate)
		}
	}
	return nil
}

// takesVassals are the subcommands whose words are names of vassals.
var takesVassals = []string{"status", "why", "start", "stop", "reload", "restart", "pause", "resume", "logs", "events", "top"}

// takesFile are those that read a main file, whose options they take.
var takesFile = []string{"run", "check", "plan", "explain", "router"}

// candidates are what may stand where last does, behind the words before it.
func candidates(before []string, last string) []string {
	word := ""
	if len(before) > 0 {
		word = before[0]
	}
	switch {
	case word == "" && !strings.HasPrefix(last, "-"):
		var words []string
		for _, c := range commands() {
			if c.help != "" {
				words = append(words, c.name)
			}
		}
		return words
	case word == "completion":
		return []string{"bash", "zsh", "fish"}
	case slices.Contains(takesVassals, word) && before[len(before)-1] == "--control":
		return nil
	case slices.Contains(takesVassals, word) && strings.HasPrefix(last, "-"):
		own := []string{"--control", "--json", "--timeout"}
		if word == "logs" || word == "events" {
			own = append(own, "--follow")
		}
		return own
	case slices.Contains(takesVassals, word):
		return vassalNames(before)
	case strings.HasPrefix(last, "--") && (slices.Contains(takesFile, word) || !slices.ContainsFunc(commands(), func(c command) bool { return c.name == word })):
		var words []string
		for _, o := range everyOption() {
			if o.Ignored == "" {
				words = append(words, "--"+o.Name)
			}
		}
		return words
	}
	return nil
}

// vassalNames asks the emperor that runs, and not for long: somebody has pressed a key.
func vassalNames(before []string) []string {
	path := ""
	for i, word := range before {
		if value, ok := strings.CutPrefix(word, "--control="); ok {
			path = value
		} else if word == "--control" && i+1 < len(before) {
			path = before[i+1]
		}
	}
	client := control.NewClient(control.Path(path))
	client.Patience = time.Second
	s, err := client.Status(context.Background())
	if err != nil {
		return nil
	}
	var names []string
	for _, v := range s.Vassals {
		names = append(names, v.Name)
	}
	return names
}
