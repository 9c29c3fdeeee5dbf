package accesslog

import (
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// field is something that a template can name. It is a number and not a function,
// because an entry that is passed to functions nobody knows can't live on a stack.
type field uint8

const (
	// Numbers.
	fieldPort field = iota
	fieldStatus
	fieldSize
	fieldHeadSize
	fieldBodySize
	fieldReceived
	fieldTime
	fieldTimeMsecs
	fieldTimeMicros
	fieldEpoch
	fieldMicros
	fieldMsecs
	fieldSecs
	fieldHeldMicros
	fieldHeldMsecs
	fieldHeldSecs
	fieldConnectMicros
	fieldConnectMsecs
	fieldConnectSecs
	fieldFirstMicros
	fieldFirstMsecs
	fieldFirstSecs
	fieldUpstreamMicros
	fieldUpstreamMsecs
	fieldUpstreamSecs
	fieldRetries
	fieldGeneration
	fieldPID
	lastQuantity

	// Addresses and times: no character in them needs escaping either.
	fieldAddr
	fieldPeer
	fieldLogTime
	fieldCTime
	fieldISOTime
	lastPlain

	// Text of one word: a space in it is escaped too.
	fieldUser
	fieldMethod
	fieldURI
	fieldPath
	fieldQuery
	fieldProto
	fieldScheme
	fieldHost
	fieldRequestID
	fieldVassal
	fieldRule
	fieldUpstream
	fieldTLS
	fieldCipher
	fieldSNI
	fieldEnded
	lastWord

	// Text.
	fieldRequest
	fieldReferer
	fieldUserAgent
	fieldVariable
)

func (f field) isQuantity() bool { return f < lastQuantity }
func (f field) isPlain() bool    { return f < lastPlain }
func (f field) isWord() bool     { return f < lastWord }

// names are in the order of the alphabet. Where uWSGI's log-format has a name, it
// is that, with its meaning.
var names = []struct {
	name  string
	field field
	help  string
}{
	{"addr", fieldAddr, "address of the visitor, as far as trusted proxies tell it"},
	{"cipher", fieldCipher, "cipher suite of the TLS connection"},
	{"cl", fieldReceived, "size of the request's body"},
	{"connect-micros", fieldConnectMicros, "time until the upstream was connected, in microseconds"},
	{"connect-msecs", fieldConnectMsecs, "the same in milliseconds"},
	{"connect-secs", fieldConnectSecs, "the same in seconds"},
	{"ctime", fieldCTime, "when the request came: Sat Nov 21 14:31:45 2026"},
	{"ended", fieldEnded, "why the request ended otherwise than it should have"},
	{"epoch", fieldEpoch, "when the request ended, in seconds since 1970"},
	{"first-byte-micros", fieldFirstMicros, "time until the first byte came from the upstream, in microseconds"},
	{"first-byte-msecs", fieldFirstMsecs, "the same in milliseconds"},
	{"first-byte-secs", fieldFirstSecs, "the same in seconds"},
	{"ftime", fieldLogTime, "when the request came, as ltime"},
	{"generation", fieldGeneration, "the vassal's generation"},
	{"held-micros", fieldHeldMicros, "time the request waited for its vassal or its turn, in microseconds"},
	{"held-msecs", fieldHeldMsecs, "the same in milliseconds"},
	{"held-secs", fieldHeldSecs, "the same in seconds"},
	{"host", fieldHost, "the Host of the request"},
	{"hsize", fieldHeadSize, "size of the response's head"},
	{"iso", fieldISOTime, "when the request came: 2026-11-21T14:31:45.657Z"},
	{"ltime", fieldLogTime, "when the request came: 21/Nov/2026:14:31:45 +0000"},
	{"method", fieldMethod, "method of the request"},
	{"micros", fieldMicros, "duration of the request in microseconds"},
	{"msecs", fieldMsecs, "duration of the request in milliseconds"},
	{"path", fieldPath, "the uri up to its question mark"},
	{"peer", fieldPeer, "address of the connection's other end"},
	{"pid", fieldPID, "process id of the router"},
	{"port", fieldPort, "port of the connection's other end"},
	{"proto", fieldProto, "protocol of the request: HTTP/1.1"},
	{"query", fieldQuery, "the uri behind its question mark"},
	{"referer", fieldReferer, "the Referer of the request"},
	{"request", fieldRequest, "method, uri and protocol"},
	{"retries", fieldRetries, "attempts after the first"},
	{"rid", fieldRequestID, "id of the request"},
	{"rsize", fieldBodySize, "size of the response's body"},
	{"rule", fieldRule, "the rule that decided: file:line"},
	{"scheme", fieldScheme, "http or https"},
	{"secs", fieldSecs, "duration of the request in seconds: 0.000172"},
	{"size", fieldSize, "size of the response, head and body"},
	{"sni", fieldSNI, "the name in the TLS handshake"},
	{"status", fieldStatus, "status of the response"},
	{"time", fieldTime, "when the request came, in seconds since 1970"},
	{"tls", fieldTLS, "version of the TLS connection"},
	{"tmicros", fieldTimeMicros, "when the request came, in microseconds since 1970"},
	{"tmsecs", fieldTimeMsecs, "when the request came, in milliseconds since 1970"},
	{"uagent", fieldUserAgent, "the User-Agent of the request"},
	{"upstream", fieldUpstream, "address that answered, or was tried last"},
	{"upstream-micros", fieldUpstreamMicros, "time the upstream took in all, in microseconds"},
	{"upstream-msecs", fieldUpstreamMsecs, "the same in milliseconds"},
	{"upstream-secs", fieldUpstreamSecs, "the same in seconds"},
	{"uri", fieldURI, "the uri of the request, as it was sent"},
	{"user", fieldUser, "who passed a password check"},
	{"vassal", fieldVassal, "name of the vassal"},
}

var byName = func() map[string]field {
	m := map[string]field{}
	for _, n := range names {
		m[n.name] = n.field
	}
	return m
}()

// Name is one name of a template.
type Name struct{ Name, Help string }

// Names lists what may stand in a template, with a few words on each, in the order
// of the alphabet: the text for an option's help. %(var.NAME) comes on top.
func Names() []Name {
	list := make([]Name, 0, len(names))
	for _, n := range names {
		list = append(list, Name{n.name, n.help})
	}
	return list
}

var pid = int64(os.Getpid())

// appendPlain appends a value that needs no escaping, nothing if it is not known.
func (f field) appendPlain(dst []byte, e *Entry) []byte {
	switch f {
	case fieldAddr:
		return appendAddr(dst, e.client())
	case fieldPeer:
		return appendAddr(dst, e.Peer.Addr())
	case fieldPort:
		if !e.Peer.IsValid() {
			return dst
		}
		return appendInt(dst, int64(e.Peer.Port()))
	case fieldStatus:
		return appendKnown(dst, int64(e.Status))
	case fieldSize:
		return appendInt(dst, e.Sent)
	case fieldHeadSize:
		return appendInt(dst, e.SentHead)
	case fieldBodySize:
		return appendInt(dst, e.Sent-e.SentHead)
	case fieldReceived:
		return appendInt(dst, e.ReceivedBody)
	case fieldTime:
		return appendInt(dst, e.Time.Unix())
	case fieldTimeMsecs:
		return appendInt(dst, e.Time.UnixMilli())
	case fieldTimeMicros:
		return appendInt(dst, e.Time.UnixMicro())
	case fieldEpoch:
		return appendInt(dst, e.Time.Add(e.Duration).Unix())
	case fieldLogTime:
		return logTime.append(dst, e.Time)
	case fieldCTime:
		return e.Time.AppendFormat(dst, time.ANSIC)
	case fieldISOTime:
		return appendISO(dst, e.Time)
	case fieldRetries:
		return appendInt(dst, int64(e.Retries))
	case fieldGeneration:
		if e.Generation == 0 {
			return dst
		}
		return strconv.AppendUint(dst, e.Generation, 10)
	case fieldPID:
		return appendInt(dst, pid)
	}
	return f.appendDuration(dst, e)
}

// appendDuration appends a duration in the field's unit.
func (f field) appendDuration(dst []byte, e *Entry) []byte {
	var d time.Duration
	first := f // the one in microseconds
	switch f {
	case fieldMicros, fieldMsecs, fieldSecs:
		d, first = e.Duration, fieldMicros
	case fieldHeldMicros, fieldHeldMsecs, fieldHeldSecs:
		d, first = e.Held, fieldHeldMicros
	default:
		if e.Upstream == "" {
			return dst
		}
		switch f {
		case fieldConnectMicros, fieldConnectMsecs, fieldConnectSecs:
			d, first = e.Connect, fieldConnectMicros
		case fieldFirstMicros, fieldFirstMsecs, fieldFirstSecs:
			if e.FirstByte == 0 {
				return dst // none came
			}
			d, first = e.FirstByte, fieldFirstMicros
		case fieldUpstreamMicros, fieldUpstreamMsecs, fieldUpstreamSecs:
			d, first = e.Exchange, fieldUpstreamMicros
		}
	}
	switch f - first {
	case 0:
		return appendInt(dst, d.Microseconds())
	case 1:
		return appendInt(dst, d.Milliseconds())
	}
	return appendFraction(dst, d.Microseconds(), 1_000_000)
}

// text is the value of a text field: bytes that somebody sent, or text that was known
// before.
func (f field) text(e *Entry) (sent []byte, known string) {
	switch f {
	case fieldUser:
		return e.User, ""
	case fieldMethod:
		return e.Method, ""
	case fieldURI:
		return e.Target, ""
	case fieldPath:
		path, _, _ := bytes.Cut(e.Target, question)
		return path, ""
	case fieldQuery:
		_, query, _ := bytes.Cut(e.Target, question)
		return query, ""
	case fieldHost:
		return e.Host, ""
	case fieldRequestID:
		return e.RequestID, ""
	case fieldSNI:
		return e.SNI, ""
	case fieldReferer:
		return e.Referer, ""
	case fieldUserAgent:
		return e.UserAgent, ""
	case fieldProto:
		return nil, e.Protocol
	case fieldScheme:
		return nil, e.Scheme
	case fieldVassal:
		return nil, e.Vassal
	case fieldUpstream:
		return nil, e.Upstream
	case fieldTLS:
		return nil, e.TLS
	case fieldCipher:
		return nil, e.Cipher
	case fieldEnded:
		return nil, string(e.Ended)
	}
	return nil, ""
}

var question = []byte{'?'}

// client is the visitor's address.
func (e *Entry) client() netip.Addr {
	if e.Client.IsValid() {
		return e.Client
	}
	return e.Peer.Addr()
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return a.Unmap().AppendTo(dst)
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

func appendKnown(dst []byte, n int64) []byte {
	if n == 0 {
		return dst
	}
	return appendInt(dst, n)
}

// appendFraction appends n/unit with all the digits that unit, a power of ten, has.
func appendFraction(dst []byte, n, unit int64) []byte {
	n = max(n, 0)
	dst = append(appendInt(dst, n/unit), '.')
	for rest := n % unit; unit > 1; {
		unit /= 10
		dst = append(dst, byte('0'+rest/unit))
		rest %= unit
	}
	return dst
}
