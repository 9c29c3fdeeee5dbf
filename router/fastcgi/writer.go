package fastcgi

// HeaderSize is the length in bytes of what precedes a record's content.
const HeaderSize = 8

// MaxContent is how many bytes of content a record holds at most.
const MaxContent = 65535

// Writer builds the start of one request at a time: BEGIN_REQUEST and PARAMS.
// The zero value is ready for Begin; keep it and use it again.
type Writer struct {
	buf    []byte
	record int // where the header of the open PARAMS record stands in buf
}

// Begin starts a request at the end of dst, which may hold other bytes already.
func (w *Writer) Begin(dst []byte) {
}

// Var writes a variable. The caller sees to it that each name is written once.
//
// A variable is not divided between two records if it fits into one: the
// specification would allow it, PHP reads every record for itself.
func (w *Writer) Var(name, value string) { appendVar(w, name, value) }

// VarBytes is Var for a value in bytes.
func (w *Writer) VarBytes(name string, value []byte) { appendVar(w, name, value) }

// Pair is Var for a variable that another codec's reader returned, as
// uwsgi.Reader does.
func (w *Writer) Pair(name, value []byte) { appendVar(w, name, value) }

func appendVar[N, V string | []byte](w *Writer, name N, value V) {
}

// Finish ends the variables and returns dst of Begin with the request's start
// behind it. The body follows: AppendStdin, as often as wanted, and
// AppendStdinEnd.
func (w *Writer) Finish() []byte { return w.buf }

// AppendStdin appends data, a piece of the request's body, as records.
func AppendStdin(dst, data []byte) []byte { return dst }

// AppendStdinEnd appends the record that ends the request's body, which has to
// come also when there is no body.
func AppendStdinEnd(dst []byte) []byte { return dst }

// PutStdinHeader writes the header for n bytes of body, from 1 to MaxContent, so
// that it ends where head ends, and returns where in head it starts: data that
// was read behind a gap of HeaderSize bytes can be sent without being moved.
func PutStdinHeader(head []byte, n int) (start int) { return len(head) - HeaderSize }
