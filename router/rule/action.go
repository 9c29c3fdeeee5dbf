package rule

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// An action is what a rule does when it matches.
type action interface {
	// apply carries the action out on d and says how routing goes on.
	apply(r *Rule, q *Query, d *Decision) flow
	// String returns the action in a normal form.
	String() string
}

// flow says what happens after an action.
type flow uint8

const (
	next flow = iota // the next rule has its turn
	stop             // routing ends with what d says
	jump             // go on at rule d.target
)

// A parser reads the arguments of one kind of action: all that follows the colon.
type parser func(arguments string, s *scope) (action, error)

// actionKind is an action by name.
type actionKind struct {
	parse  parser
	chains chainSet // where it may stand
}

var (
	inAny      = only(RequestChain, ErrorChain, ResponseChain, FinalChain)
	inRequest  = only(RequestChain)
	beforeHead = only(RequestChain, ErrorChain, ResponseChain) // nothing has been sent
	ofResponse = only(ErrorChain, ResponseChain)               // there is a response, and nothing has been sent
)

// actions are the actions that this front has.
var actions = map[string]actionKind{
	"uwsgi":      {parseUwsgi, inRequest},
	"proxyuwsgi": {parseUwsgi, inRequest},
	"http":       {parseUpstream(HTTP), inRequest},
	"proxyhttp":  {parseUpstream(HTTP), inRequest},
	"https":      {parseUpstream(HTTPS), inRequest},
	"fastcgi":    {parseUpstream(FastCGI), inRequest},
	"scgi":       {parseUpstream(SCGI), inRequest},
	"vassal":     {parseVassal, inRequest},

	"redirect":           {parseRedirect(302), beforeHead},
	"redirect-302":       {parseRedirect(302), beforeHead},
	"redirect-permanent": {parseRedirect(301), beforeHead},
	"redirect-301":       {parseRedirect(301), beforeHead},
	"return":             {parseReturn, beforeHead},
	"break-with-status":  {parseReturn, beforeHead},
	"break":              {parseBreak, inAny},

	"static":        {parseStatic(false), beforeHead},
	"static-next":   {parseStatic(true), beforeHead},
	"file":          {parseFile("file", false), beforeHead},
	"file-next":     {parseFile("file", true), beforeHead},
	"sendfile":      {parseFile("sendfile", false), beforeHead},
	"sendfile-next": {parseFile("sendfile", true), beforeHead},
	"fastfile":      {parseFile("fastfile", false), beforeHead},
	"fastfile-next": {parseFile("fastfile", true), beforeHead},

	"basicauth":      {parseBasicAuth(false), inRequest},
	"basicauth-next": {parseBasicAuth(true), inRequest},

	"last":     {parseLast, inAny},
	"continue": {parseLast, inAny},
	"goto":     {parseGoto, inAny},

	"log":      {parseLog, inAny},
	"logvar":   {parseLogVar, inAny},
	"donotlog": {parseDoNotLog, inAny},
	"alarm":    {parseAlarm, inAny},

	"addvar": {parseAddVar, inAny},
	"hash":   {parseHash, inAny},
	"+":      {parseArithmetic('+'), inAny},
	"-":      {parseArithmetic('-'), inAny},
	"*":      {parseArithmetic('*'), inAny},
	"/":      {parseArithmetic('/'), inAny},

	"rewrite":       {parseRewrite(false), inRequest},
	"rewrite-last":  {parseRewrite(true), inRequest},
	"setmethod":     {parseSet(&partMethod), inRequest},
	"seturi":        {parseSet(&partURI), inRequest},
	"setpathinfo":   {parseSet(&partPath), inRequest},
	"setremoteaddr": {parseSet(&partRemoteAddr), inRequest},
	"setuser":       {parseSet(&partRemoteUser), inRequest},
	"setscriptname": {parseSet(&partScriptName), inRequest},
	"setdocroot":    {parseSet(&partDocumentRoot), inRequest},
	"setscheme":     {parseSet(&partScheme), inRequest},
	"setapp":        {parseSet(&partApp), inRequest},
	"setfile":       {parseSet(&partFile), inRequest},
	"sethome":       {parseSet(&partHome), inRequest},
	"setmodifier1":  {parseSetModifier(1), inRequest},
	"setmodifier2":  {parseSetModifier(2), inRequest},

	"addheader":    {parseAddHeader, beforeHead},
	"delheader":    {parseDelHeader, beforeHead},
	"remheader":    {parseDelHeader, beforeHead},
	"expires":      {parseExpires, beforeHead},
	"gzip":         {parseTransformation("gzip"), beforeHead},
	"chunked":      {parseTransformation("chunked"), beforeHead},
	"clearheaders": {parseClearHeaders, ofResponse},
	"resetheaders": {parseClearHeaders, ofResponse},
}

// parseAction reads "action:arguments".
func parseAction(text string, s *scope) (action, error) {
	name, arguments, found := strings.Cut(text, ":")
	if kind, ok := actions[name]; ok {
		if !found {
			return nil, fmt.Errorf("action %s: want %s: with a colon, and its arguments", name, name)
		}
		if !kind.chains.has(s.chain) {
			return nil, misplaced(name, kind.chains, s.chain)
		}
		a, err := kind.parse(arguments, s)
		if err != nil {
			return nil, fmt.Errorf("action %s: %w", name, err)
		}
		return a, nil
	}
	if instead, ok := otherActions[name]; ok && found {
		return nil, fmt.Errorf("action %s is uWSGI's and not available in the front: %s", name, instead)
	}
	if !found {
		return nil, fmt.Errorf("%q is no action, want ACTION:ARGUMENTS such as uwsgi:/run/sites/app.sock,0,0", text)
	}
	what := fmt.Sprintf("unknown action %q, want one of %s", name, strings.Join(actionNames(s.chain), " "))
	if strings.ContainsAny(name, `\()[]^$*+?| `) {
		what += ` (the pattern ends at the first space: write a space in it as \x20)`
	}
	return nil, errors.New(what)
}

// misplaced says why an action can not stand in a chain.
func misplaced(name string, admitted chainSet, c Chain) error {
	why := "the response has been sent"
	switch {
	case c == RequestChain:
		return fmt.Errorf("action %s: there is no response yet, want it in response-route or error-route; to answer here write return:CODE", name)
	case c == FinalChain:
	case admitted == inRequest:
		why = "the request has been to its vassal; to answer something else write return: redirect: static: or file:"
	}
	return fmt.Errorf("action %s can not stand in the %s chain: %s; want one of %s", name, c, why, strings.Join(actionNames(c), " "))
}

// actionNames are the actions that may stand in a chain.
func actionNames(c Chain) []string {
	names := make([]string, 0, len(actions))
	for name, kind := range actions {
		if kind.chains.has(c) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// isFinal reports whether an action always decides, so that later rules have no
// turn when it ran.
func isFinal(a action) bool {
	switch a := a.(type) {
	case *uwsgiAction, *upstreamAction, *vassalAction, *redirectAction, *statusAction, *lastAction, *closeAction:
		return true
	case *staticAction:
		return !a.next
	case *fileAction:
		return !a.next
	case *rewriteAction:
		return a.last
	}
	return false
}

// parsePairs reads "key=value,key=value". Every key is one of known.
func parsePairs(text, known string) (map[string]string, error) {
	pairs := make(map[string]string)
	for _, one := range strings.Split(text, ",") {
		key, value, found := strings.Cut(one, "=")
		if !found || !strings.Contains(" "+known+" ", " "+key+" ") {
			return nil, fmt.Errorf("%q: want KEY=VALUE with a comma between them, each KEY one of %s", one, known)
		}
		if _, twice := pairs[key]; twice {
			return nil, fmt.Errorf("%s= stands there twice", key)
		}
		pairs[key] = value
	}
	return pairs, nil
}

// fixed refuses captures and variables where uWSGI puts none in.
func fixed(text string) error {
	if strings.Contains(text, "${") || strings.Contains(text, "$") && hasGroupMark(text) {
		return fmt.Errorf("%q: want a fixed text, captures and variables are not put in here", text)
	}
	return nil
}

func hasGroupMark(text string) bool {
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '$' && isDigit(text[i+1]) {
			return true
		}
	}
	return false
}
