package accesslog

import (
	"sync/atomic"
	"time"
)

// stamp writes times in one layout. Most lines of a busy front have the second of the
// line before, so the text of the latest one is kept: formatting it anew would be
// half of what a line costs.
type stamp struct {
	layout string
	latest atomic.Pointer[second]
}

// second is the text of one.
type second struct {
	unix     int64
	location *time.Location
	text     []byte
}

func (s *stamp) append(dst []byte, t time.Time) []byte {
	unix, location := t.Unix(), t.Location()
	latest := s.latest.Load()
	if latest != nil && latest.unix == unix && latest.location == location {
		return append(dst, latest.text...)
	}
	begin := len(dst)
	dst = t.AppendFormat(dst, s.layout)
	if latest == nil || latest.unix < unix {
		s.latest.Store(&second{unix, location, append([]byte(nil), dst[begin:]...)})
	}
	return dst
}

// The layouts, without fractions of a second.
var (
	logTime = stamp{layout: "02/Jan/2006:15:04:05 -0700"}
	isoDate = stamp{layout: "2006-01-02T15:04:05"}
	isoZone = stamp{layout: "Z07:00"}
)

// appendISO appends a time like 2026-11-21T14:31:45.657+01:00.
func appendISO(dst []byte, t time.Time) []byte {
	dst = isoDate.append(dst, t)
	thousandths := t.Nanosecond() / int(time.Millisecond)
	dst = append(dst, '.', byte('0'+thousandths/100), byte('0'+thousandths/10%10), byte('0'+thousandths%10))
	return isoZone.append(dst, t)
}
