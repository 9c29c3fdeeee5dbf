package sni

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"time"
)

// sealedAt marks in a session when its ticket was sealed: crypto/tls knows, and does
// not tell.
var sealedAt = []byte("emperor sealed at\x00")

// limitSessions makes tickets of config useless after that time.
func limitSessions(config *tls.Config, limit time.Duration, now func() time.Time) {
	config.WrapSession = func(c tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		s.Extra = append(s.Extra, binary.BigEndian.AppendUint64(bytes.Clone(sealedAt), uint64(now().Unix())))
		return config.EncryptTicket(c, s)
	}
	config.UnwrapSession = func(ticket []byte, c tls.ConnectionState) (*tls.SessionState, error) {
		s, err := config.DecryptTicket(ticket, c)
		if s == nil || err != nil {
			return nil, err
		}
		for _, extra := range s.Extra {
			if at, ok := bytes.CutPrefix(extra, sealedAt); ok && len(at) == 8 {
				if age := now().Sub(time.Unix(int64(binary.BigEndian.Uint64(at)), 0)); age <= limit {
					return s, nil
				}
			}
		}
		return nil, nil // too old, or sealed before there was a limit: a full handshake
	}
}
