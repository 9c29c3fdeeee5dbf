package rule

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// Covers reports whether each host that the pattern later matches is matched by
// earlier, too, so that a rule with later below one with earlier never has its
// turn. It is exact: the languages of both are compared, by walking through both
// patterns' automata at once. Where that would take too long, or a pattern cannot
// be read, the answer is false.
func Covers(earlier, later string) bool {
	a, ok := newAutomaton(earlier)
	if !ok {
		return false
	}
	b, ok := newAutomaton(later)
	if !ok {
		return false
	}
	type pair struct{ a, b int }
	begin := pair{a.begin(), b.begin()}
	seen := map[pair]bool{begin: true}
	for queue := []pair{begin}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if a.states[at.a].matched {
			continue // so are all that follow
		}
		if b.ends(at.b) && !a.ends(at.a) {
			return false
		}
		for _, letter := range hostLetters {
			next := pair{a.step(at.a, letter), b.step(at.b, letter)}
			if b.states[next.b].dead() || seen[next] {
				continue
			}
			if len(seen) > coverLimit {
				return false
			}
			seen[next] = true
			queue = append(queue, next)
		}
	}
	return true
}

// coverLimit bounds how many pairs of states one comparison looks at.
const coverLimit = 4000

// hostLetters are what canonical hosts, with or without port, are made of.
const hostLetters = "abcdefghijklmnopqrstuvwxyz0123456789-._:[]"

// automaton is a pattern as a machine that reads one letter after the other. It
// has read the letters so far and is in one of its states; they are made when they
// are first met.
type automaton struct {
	program *syntax.Prog
	states  []state
	known   map[string]int // by name, see state.name
	steps   map[stepKey]int
}

type stepKey struct {
	state  int
	letter rune
}

// state is what the machine knows after some letters.
type state struct {
	// at are the places in the program that wait for what comes next: its letter, or
	// its end. Assertions such as $ and \b depend on both sides, so they are only
	// looked at then.
	at       []uint32
	previous rune // the last letter; -1 at the beginning
	matched  bool // whatever follows
}

// dead: nothing can match any more. A pattern without ^ begins anew with each
// letter, and never is.
func (s state) dead() bool { return !s.matched && len(s.at) == 0 }

func newAutomaton(pattern string) (*automaton, bool) {
	tree, err := syntax.Parse("(?i:"+pattern+")", syntax.Perl)
	if err != nil {
		return nil, false
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || len(program.Inst) > coverLimit {
		return nil, false
	}
	return &automaton{program: program, known: map[string]int{}, steps: map[stepKey]int{}}, true
}

func (m *automaton) begin() int {
	return m.enter(state{at: []uint32{uint32(m.program.Start)}, previous: -1})
}

// enter gives the number of a state.
func (m *automaton) enter(s state) int {
	slices.Sort(s.at)
	s.at = slices.Compact(s.at)
	var name strings.Builder
	for _, pc := range s.at {
		name.WriteString(strconv.Itoa(int(pc)) + " ")
	}
	kind := "letter"
	switch {
	case s.matched:
		kind, s.at = "matched", nil
		name.Reset()
	case s.previous < 0:
		kind = "begin"
	case syntax.IsWordChar(s.previous):
		kind = "word"
	}
	name.WriteString(kind)
	if n, ok := m.known[name.String()]; ok {
		return n
	}
	m.states = append(m.states, s)
	m.known[name.String()] = len(m.states) - 1
	return len(m.states) - 1
}

// ends tells whether the text matches if it ends here.
func (m *automaton) ends(n int) bool {
	s := m.states[n]
	_, matched := m.follow(s, -1)
	return s.matched || matched
}

// step reads a letter.
func (m *automaton) step(n int, letter rune) int {
	key := stepKey{n, letter}
	if next, ok := m.steps[key]; ok {
		return next
	}
	s := m.states[n]
	next := state{previous: letter, matched: s.matched}
	if !s.matched {
		waiting, matched := m.follow(s, letter)
		next.matched = matched
		for _, pc := range waiting {
			if inst := &m.program.Inst[pc]; inst.MatchRune(letter) {
				next.at = append(next.at, inst.Out)
			}
		}
		if m.program.Inst[m.program.Start].Op != syntax.InstEmptyWidth || syntax.EmptyOp(m.program.Inst[m.program.Start].Arg)&syntax.EmptyBeginText == 0 {
			next.at = append(next.at, uint32(m.program.Start)) // it may begin anywhere
		}
	}
	m.steps[key] = m.enter(next)
	return m.steps[key]
}

// follow goes from the places of a state to those that take the next letter (-1:
// there is none), and tells whether the match is complete before it.
func (m *automaton) follow(s state, letter rune) (waiting []uint32, matched bool) {
	context := syntax.EmptyOpContext(s.previous, letter)
	visited := make([]bool, len(m.program.Inst))
	stack := slices.Clone(s.at)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if visited[pc] {
			continue
		}
		visited[pc] = true
		inst := &m.program.Inst[pc]
		switch inst.Op {
		case syntax.InstMatch:
			matched = true
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, inst.Out, inst.Arg)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^context == 0 {
				stack = append(stack, inst.Out)
			}
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, inst.Out)
		case syntax.InstFail:
		default:
			waiting = append(waiting, pc)
		}
	}
	return waiting, matched
}

// MayCapture reports whether a group of a host pattern, given by its number or name,
// can match a text. It is false only where it is certain that it can not.
func MayCapture(pattern, group, text string) bool {
	tree, err := syntax.Parse("(?i:"+pattern+")", syntax.Perl)
	if err != nil || text != strings.ToLower(text) {
		return err != nil
	}
	found := findGroup(tree, group)
	if found == nil {
		return true // a variable, or the whole host
	}
	re, err := regexp.Compile(`^(?:` + found.Sub[0].String() + `)$`)
	return err != nil || re.MatchString(text)
}

func findGroup(tree *syntax.Regexp, group string) *syntax.Regexp {
	if tree.Op == syntax.OpCapture && (strconv.Itoa(tree.Cap) == group || tree.Name == group && group != "") {
		return tree
	}
	for _, sub := range tree.Sub {
		if found := findGroup(sub, group); found != nil {
			return found
		}
	}
	return nil
}
