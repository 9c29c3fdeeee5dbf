package accesslog

import "time"

// appendJSON appends the built-in JSON form: one object with what is known. The
// names say their units; _ms is milliseconds with three decimals.
func appendJSON(dst []byte, e *Entry) []byte {
	dst = append(dst, `{"time":"`...)
	dst = append(appendISO(dst, e.Time), '"')
	if client := e.client(); client.IsValid() {
		dst = append(appendAddr(append(dst, `,"client":"`...), client), '"')
	}
	if e.Peer.IsValid() && e.Client.IsValid() && e.Client != e.Peer.Addr() {
		dst = append(appendAddr(append(dst, `,"peer":"`...), e.Peer.Addr()), '"')
	}
	dst = appendMember(dst, `,"user":"`, e.User)
	dst = appendMember(dst, `,"scheme":"`, e.Scheme)
	dst = appendMember(dst, `,"host":"`, e.Host)
	dst = appendMember(dst, `,"method":"`, e.Method)
	dst = appendMember(dst, `,"uri":"`, e.Target)
	dst = appendMember(dst, `,"proto":"`, e.Protocol)
	if e.Status != 0 {
		dst = appendInt(append(dst, `,"status":`...), int64(e.Status))
	}
	dst = appendInt(append(dst, `,"bytes_received":`...), e.ReceivedBody)
	dst = appendInt(append(dst, `,"bytes_sent":`...), e.Sent)
	dst = appendInt(append(dst, `,"body_bytes_sent":`...), e.Sent-e.SentHead)
	dst = appendMilliseconds(dst, `,"duration_ms":`, e.Duration)
	if e.Held > 0 {
		dst = appendMilliseconds(dst, `,"held_ms":`, e.Held)
	}
	dst = appendMember(dst, `,"vassal":"`, e.Vassal)
	if e.Generation > 0 {
		dst = appendInt(append(dst, `,"generation":`...), int64(e.Generation))
	}
	if e.RuleFile != "" || e.RuleLine > 0 {
		dst = append(appendRule(append(dst, `,"rule":"`...), e, true), '"')
	}
	if e.Upstream != "" {
		dst = appendMember(dst, `,"upstream":"`, e.Upstream)
		dst = appendMilliseconds(dst, `,"upstream_connect_ms":`, e.Connect)
		if e.FirstByte > 0 {
			dst = appendMilliseconds(dst, `,"upstream_first_byte_ms":`, e.FirstByte)
		}
		dst = appendMilliseconds(dst, `,"upstream_ms":`, e.Exchange)
	}
	if e.Retries > 0 {
		dst = appendInt(append(dst, `,"retries":`...), int64(e.Retries))
	}
	dst = appendMember(dst, `,"request_id":"`, e.RequestID)
	dst = appendMember(dst, `,"referer":"`, e.Referer)
	dst = appendMember(dst, `,"user_agent":"`, e.UserAgent)
	dst = appendMember(dst, `,"tls":"`, e.TLS)
	dst = appendMember(dst, `,"cipher":"`, e.Cipher)
	dst = appendMember(dst, `,"sni":"`, e.SNI)
	dst = appendMember(dst, `,"ended":"`, string(e.Ended))
	return append(dst, "}\n"...)
}

// appendMember appends a text member, unless the text is empty.
func appendMember[T string | []byte](dst []byte, name string, text T) []byte {
	if len(text) == 0 {
		return dst
	}
	return append(appendText(append(dst, name...), text, true, false), '"')
}

func appendMilliseconds(dst []byte, name string, d time.Duration) []byte {
	return appendFraction(append(dst, name...), d.Microseconds(), 1000)
}
