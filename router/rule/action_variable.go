package rule

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// addVarAction adds a request variable: addvar:NAME=VALUE. The subjects of later
// rules do not change by it, as in uWSGI; ${NAME} does.
type addVarAction struct {
	name  string
	value template
	path  bool // the value is a path, and is looked at as one
}

func parseAddVar(arguments string, s *scope) (action, error) {
	name, text, found := strings.Cut(arguments, "=")
	if !found || !isVariableName(name) {
		return nil, fmt.Errorf("%q: want NAME=VALUE", arguments)
	}
	a := &addVarAction{name: name, path: namesPath(name)}
	var err error
	switch {
	case a.path:
		a.value, err = parsePath(text, s)
	case name == "UWSGI_MODULE" || name == "UWSGI_CALLABLE":
		a.value, err = parseTemplate(text, pathName, s) // code that a worker will load
	case strings.HasPrefix(name, "HTTP_") || name == "CONTENT_TYPE" || name == "CONTENT_LENGTH":
		a.value, err = parseTemplate(text, fieldValue, s) // becomes a header field for an HTTP upstream
	default:
		a.value, err = parseTemplate(text, anywhere, s)
	}
	return a, err
}

// namesPath reports whether a worker opens what the variable says.
func namesPath(variable string) bool {
	switch variable {
	case "UWSGI_FILE", "UWSGI_SCRIPT", "UWSGI_HOME", "UWSGI_PYHOME", "UWSGI_CHDIR", "UWSGI_TOUCH_RELOAD",
		"DOCUMENT_ROOT", "SCRIPT_FILENAME":
		return true
	}
	return false
}

func (a *addVarAction) apply(r *Rule, q *Query, d *Decision) flow {
	value, ok := d.fillPath(&a.value, a.path, q)
	if !ok {
		d.Rule = r
		return d.refuse()
	}
	d.Vars = append(d.Vars, Var{Name: a.name, Value: value, from: d.filled})
	return next
}

func (a *addVarAction) String() string                  { return "addvar:" + a.name + "=" + a.value.String() }
func (a *addVarAction) templates(visit func(*template)) { visit(&a.value) }

// arithmeticAction changes a request variable: +:NAME[,NUMBER] and -, *, /. An
// unset variable counts as 0 and a missing number as 1; what would be too large or
// divided by 0 leaves the variable alone, with a line in the log. (uWSGI drops the
// request instead, and its / multiplies.)
type arithmeticAction struct {
	operator byte
	name     string
	operand  template
}

func parseArithmetic(operator byte) parser {
	return func(arguments string, s *scope) (action, error) {
		name, text, found := strings.Cut(arguments, ",")
		if !found {
			text = "1"
		}
		if !isVariableName(name) {
			return nil, fmt.Errorf("%q: want NAME or NAME,NUMBER", arguments)
		}
		operand, err := parseTemplate(text, anywhere, s)
		if err != nil {
			return nil, err
		}
		if operand.isLiteral() {
			n, err := strconv.ParseInt(operand.literal, 10, 64)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%q: want a whole number", operand.literal)
			case operator == '/' && n == 0:
				return nil, fmt.Errorf("%q: can not divide by 0", arguments)
			}
		}
		return &arithmeticAction{operator, name, operand}, nil
	}
}

func (a *arithmeticAction) apply(r *Rule, q *Query, d *Decision) flow {
	at := len(d.buf)
	text, _ := d.fill(&a.operand, q)
	operand := number(text)
	d.buf = d.buf[:at]
	old, _ := d.variable(q, a.name)
	result, ok := calculate(a.operator, number(old), operand)
	if !ok {
		d.warn(r, "no result: "+a.name+" stays as it is")
		return next
	}
	at = len(d.buf)
	d.buf = strconv.AppendInt(d.buf, result, 10)
	d.Vars = append(d.Vars, Var{Name: a.name, Value: d.buf[at:len(d.buf):len(d.buf)]})
	return next
}

// calculate is exact or not ok.
func calculate(operator byte, a, b int64) (result int64, ok bool) {
	switch operator {
	case '+':
		result = a + b
		return result, (result > a) == (b > 0)
	case '-':
		result = a - b
		return result, (result < a) == (b > 0)
	case '*':
		high, low := bits.Mul64(magnitude(a), magnitude(b))
		return a * b, high == 0 && low <= math.MaxInt64
	}
	if b == 0 || a == math.MinInt64 {
		return 0, false
	}
	return a / b, true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func (a *arithmeticAction) String() string {
	return string(a.operator) + ":" + a.name + "," + a.operand.String()
}

func (a *arithmeticAction) templates(visit func(*template)) { visit(&a.operand) }
