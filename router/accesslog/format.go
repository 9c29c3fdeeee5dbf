package accesslog

// Format turns entries into lines. It is immutable and may be used by any number
// of goroutines.
type Format struct{}

// Compile compiles the value of an option: the name of a built-in format
// (common, combined, json) or a template with %(name) in it. The error is an
// *Error and names the place in text.
func Compile(text string) (*Format, error) { return &Format{}, nil }

// Error says what is wrong with a template.
type Error struct {
	Offset int    // in bytes, of the "%(" that is meant
	Reason string // what is wrong and what was expected
}

func (e *Error) Error() string { return e.Reason }

// Append appends e as one line with its line feed.
func (f *Format) Append(dst []byte, e *Entry) []byte { return dst }

// Names lists what may stand in a template, with a few words on each, in the
// order of the alphabet: the text for an option's help.
func Names() []Name { return nil }

// Name is one name of a template.
type Name struct {
	Name string
	Help string
}
