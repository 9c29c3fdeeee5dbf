package router

import (
	"strings"

	"emperor/internal/config"
	"emperor/router/compress"
	"emperor/router/http1"
)

var compressionOptions = []config.Option{
	{Name: "http-auto-gzip", Type: config.Bool, Default: "false", Where: config.Main,
		Help: "Compress responses in which the app says \"uWSGI-Encoding: gzip\"."},
	{Name: "http-compress", Type: config.String, Where: config.Main,
		Help: "Compress text responses for clients that accept it: encodings, most liked first, such as \"zstd,br,gzip\" or \"gzip\"."},
	{Name: "http-compress-types", Type: config.String, Where: config.Main,
		Help: "Media types that http-compress is for, such as \"text/* application/json\"; the default are the usual text types."},
	{Name: "http-compress-min", Type: config.Size, Default: "1024", Where: config.Main,
		Help: "Least length in bytes of a response that http-compress is for."},
	{Name: "http-compress-level", Type: config.Int, Max: 11, Default: "0", Where: config.Main,
		Help: "Level of http-compress; 0 is each encoding's own default."},
}

// compressStreams bounds how many responses are being compressed at a time.
const compressStreams = 256

type compression struct {
	policy compress.Policy
	on     bool
}

func (p *compression) compile(c *config.Config, mistake func(config.Value, error)) {
	p.policy = compress.Policy{MinLength: c.Size("http-compress-min"), Level: int(c.Int("http-compress-level")), OnDemand: c.Bool("http-auto-gzip")}
	if v, ok := c.Last("http-compress"); ok && v.Value != "" && v.Value != "false" {
		encodings, err := compress.ParseEncodings(v.Value)
		if err != nil {
			mistake(v, err)
		}
		p.policy.Encodings = encodings
	}
	if v, ok := c.Last("http-compress-types"); ok {
		p.policy.Types = strings.FieldsFunc(v.Value, func(r rune) bool { return r == ' ' || r == ',' })
	}
	p.on = p.policy.OnDemand || len(p.policy.Encodings) > 0
}

// compressing is how the answer under way is compressed.
type compressing struct {
	accepted   compress.Accepted
	choice     compress.Choice
	stream     *compress.Stream // nil: it is not
	compressed []byte
}

// compress decides whether the response that is about to begin is compressed on
// its way, and changes its head if it is.
func (x *exchange) compress(r *http1.Response) {
	c := &x.settings.compression
	wanted := x.decision.Response.Gzip
	if !c.on && !wanted || hasLine(x.lines, "Content-Encoding") { // a rule says that it is
		return
	}
	policy := &c.policy
	if wanted && len(policy.Encodings) == 0 {
		policy = &gzipByRule
	}
	x.accepted.Read(x.request.Fields)
	x.choice.Choose(policy, &x.accepted, &x.request, r)
	if x.choice.Encoding != compress.Identity {
		switch x.stream = x.router.compressors.Get(x.choice.Encoding, policy.Level); {
		case x.stream == nil:
			x.choice.Encoding = compress.Identity
		case x.head.noBody:
			x.endStream() // HEAD: only the head is as that of a GET
			x.head.length = -1
		default:
			x.head.length = -1
		}
	}
	x.choice.Rewrite(r)
}

// gzipByRule is for the rules' gzip: where no policy says anything.
var gzipByRule = compress.Policy{Encodings: []compress.Encoding{compress.Gzip}, MinLength: 256}

// send gives bytes of the answer to the client, compressed if it is to be.
func (x *exchange) send(b []byte, from, to int) error {
	if x.stream == nil {
		return x.down.body(b, from, to)
	}
	if from == to {
		return x.down.flush()
	}
	// What filled a whole read is not the end of what the vassal has to say now.
	flush := to-from < backSize/2
	var err error
	if x.compressed, err = x.stream.Append(append(x.compressed[:0], noRoom[:]...), b[from:to], flush); err != nil {
		return err
	}
	n := len(x.compressed)
	return x.down.body(roomBehind(&x.compressed), bodyRoom, n)
}

// finish is send with the last bytes.
func (x *exchange) finish(b []byte, from, to int) error {
	if x.stream == nil {
		return x.down.end(b, from, to)
	}
	x.compressed = append(x.compressed[:0], noRoom[:]...)
	var err error
	if from < to {
		if x.compressed, err = x.stream.Append(x.compressed, b[from:to], false); err != nil {
			return err
		}
	}
	if x.compressed, err = x.stream.Finish(x.compressed); err != nil {
		return err
	}
	x.endStream()
	n := len(x.compressed)
	return x.down.end(roomBehind(&x.compressed), bodyRoom, n)
}

var noRoom [bodyRoom]byte

// roomBehind makes b longer by the room that a downstream may use.
func roomBehind(b *[]byte) []byte {
	*b = append(*b, noRoom[:]...)
	return *b
}

func (x *exchange) endStream() {
	if x.stream != nil {
		x.stream.Release()
		x.stream = nil
	}
}
