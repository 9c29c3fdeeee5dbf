package config

import (
	"io/fs"
	"slices"
	"time"
)

// Value is one effective line of the configuration.
type Value struct {
	// Key is the option's canonical name (Option.Name), or the key as written
	// where no option of that name is declared.
	Key   string
	Value string
	// HasValue is false for a line without "=" and for "--opt" alone.
	HasValue bool
	Pos      Pos
	// Unknown marks a value of a vassal file that depends on something never
	// evaluated for a vassal (exec://, @(…), http://, if-plugin, %t …): what uWSGI
	// will make of it is not known, Value is only the text as written.
	Unknown bool
	// Extended marks a value that uses an extension of ours ($(NAME:-default)); a
	// real uWSGI 2.0 reads the same line differently.
	Extended bool
	// Author is whose line it is, for whoever opens a file that it names.
	Author Author
}

// Config is what a configuration comes to: its effective lines in the order in
// which uWSGI would apply them. It is read-only and safe for concurrent use.
type Config struct {
	// File is the file as asked for, without ":section".
	File string
	// Values has logic and placeholders resolved. The directives of the language
	// itself (include, if-…, set …) have done their work and are left out;
	// keys that no option declares (placeholders) are kept.
	Values []Value
	// Files is the absolute path of every file that was read or should have been,
	// in order of first use: whoever watches them learns of every change that
	// could make this Config a different one.
	Files []string
	// UsedPlaceholders has each name that some %(name) refers to, in any line that
	// was read (also in a block that logic left out).
	UsedPlaceholders map[string]bool
	// Foreign is "yaml" when the vassal's file says something in that format that
	// only a real uWSGI reads; then nothing of what it says is known.
	Foreign string
	// Unread lists the file-loading lines of a vassal that were not followed
	// (include = exec://…): uWSGI may find any option at all behind them.
	Unread []Value

	set *Set
}

// FromValues makes a Config of values that were loaded elsewhere, as the router
// does with what the emperor sends. Keys may be aliases.
func FromValues(set *Set, file string, values []Value) *Config {
	c := &Config{File: file, Values: slices.Clone(values), UsedPlaceholders: map[string]bool{}, set: set}
	for i, v := range c.Values {
		if o, ok := set.Lookup(v.Key); ok {
			c.Values[i].Key = o.Name
		}
	}
	return c
}

// canonical resolves an alias.
func (c *Config) canonical(name string) string {
	if c.set != nil {
		if o, ok := c.set.Lookup(name); ok {
			return o.Name
		}
	}
	return name
}

// Has reports whether the option is set at all, to whatever value.
func (c *Config) Has(name string) bool {
	_, ok := c.Last(name)
	return ok
}

// Last returns the line that counts for a scalar option: the last one.
func (c *Config) Last(name string) (Value, bool) {
	name = c.canonical(name)
	for i := len(c.Values) - 1; i >= 0; i-- {
		if c.Values[i].Key == name {
			return c.Values[i], true
		}
	}
	return Value{}, false
}

// All returns the lines of these options, mixed, in order.
func (c *Config) All(names ...string) []Value {
	wanted := make([]string, 0, 16) // on the stack: it is asked for hundreds of times per file
	for _, name := range names {
		wanted = append(wanted, c.canonical(name))
	}
	var out []Value
	for _, v := range c.Values {
		if slices.Contains(wanted, v.Key) {
			out = append(out, v)
		}
	}
	return out
}

// text returns the option's declaration and the text that counts: the last line
// or the declared default. set is false when there is neither.
func (c *Config) text(name string) (o Option, text string, set bool) {
	if c.set != nil {
		o, _ = c.set.Lookup(name)
	}
	if v, ok := c.Last(name); ok && !v.Unknown {
		if v.HasValue {
			return o, v.Value, true
		}
		return o, "", true
	}
	return o, o.Default, o.Default != ""
}

// Text returns the last value of a scalar option, its default, or "". For this
// and the other typed accessors a value that is Unknown counts as not set.
func (c *Config) Text(name string) string {
	_, text, _ := c.text(name)
	return text
}

// Bool reads a Bool or Flag option; without a line and a default it is false.
func (c *Config) Bool(name string) bool {
	_, text, set := c.text(name)
	if !set {
		return false
	}
	value, _ := parseBool(text)
	return value
}

// Int reads an Int option; without a line and a default it is 0. A value that
// Load warned about counts as the default.
func (c *Config) Int(name string) int64 {
	return c.number(name)
}

// Seconds reads an option of type Seconds or Milliseconds.
func (c *Config) Seconds(name string) time.Duration {
	o, _, _ := c.text(name)
	n := c.number(name)
	if o.Type == Milliseconds {
		return time.Duration(n) * time.Millisecond
	}
	return time.Duration(n) * time.Second
}

// Size reads an option of type Size or Megabytes, in bytes.
func (c *Config) Size(name string) int64 {
	o, _, _ := c.text(name)
	n := c.number(name)
	if o.Type == Megabytes {
		return n << 20
	}
	return n
}

// number reads any numeric option in the unit the user writes it.
func (c *Config) number(name string) int64 {
	o, text, set := c.text(name)
	if !set {
		return 0
	}
	n, problem := parseNumber(o, text)
	if problem != "" {
		n, _ = parseNumber(o, o.Default)
	}
	return n
}

// Mode reads a Mode option; ok is false when it is not set and has no default.
func (c *Config) Mode(name string) (mode fs.FileMode, ok bool) {
	o, text, set := c.text(name)
	if !set {
		return 0, false
	}
	mode, problem := parseMode(text)
	if problem != "" {
		if o.Default == "" {
			return 0, false
		}
		mode, problem = parseMode(o.Default)
	}
	return mode, problem == ""
}
