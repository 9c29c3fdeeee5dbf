package router

import (
	"io"
	"log/slog"

	"emperor/router/accesslog"
	"emperor/router/http1"
	"emperor/router/rule"
	"emperor/router/static"
)

// serving is the file that is answered with.
type serving struct {
	files    static.Request
	file     static.Answer
	filePath []byte
}

func (s *serving) reset() {
	s.files, s.filePath = static.Request{}, s.filePath[:0]
}

// answerFile sends the file that a rule names.
func (x *exchange) answerFile(d *rule.Decision) {
	if d.Root < 0 || d.Root >= len(x.settings.roots.all) || x.settings.roots.all[d.Root].site == nil {
		x.answer(404, "there is no such file", nil)
		return
	}
	x.files.Method, x.files.Fields, x.files.Target = x.request.Method, x.request.Fields, x.request.Target
	if d.Kind == rule.File || x.erred || x.responded {
		// The file is not what was asked for: conditions and ranges were not meant for
		// it, and it answers any method.
		x.files.Method, x.files.Fields = getMethod, nil
		if x.headOnly() {
			x.files.Method = headMethod
		}
	}
	x.filePath = append(append(x.filePath[:0], '/'), d.Path...)
	x.files.Path, x.files.Shown = x.filePath, x.path
	x.files.Peek = false
	site := x.settings.roots.all[d.Root].site
	x.answerStatic(site, d)
	x.askToReopen(site, "", 0)
}

// answerStatic answers x.files with a file of the site. by is the rule's word on
// the status and type, nil where there is none. With x.files.Peek it returns false
// where there is no file.
func (x *exchange) answerStatic(site *static.Site, by *rule.Decision) bool {
	a := &x.file
	site.Open(&x.files, a)
	defer a.Close()
	if a.Status == 0 {
		return false
	}
	x.sendFile(a, by)
	return true
}

func (x *exchange) sendFile(a *static.Answer, by *rule.Decision) {
	if a.Err != nil && a.Status != 404 { // which the access log tells
		x.complain(slog.LevelWarn, "file not served", slog.Any("err", a.Err), slog.Int("status", a.Status), slog.String("host", string(x.request.HostField)), slog.String("uri", string(x.request.Target)))
	}
	if a.Length < 0 && a.Status >= 400 {
		lines := x.filePath[:0] // which the answer has been found by
		for i := range a.Fields {
			lines = append(append(append(append(lines, a.Fields[i].Name...), ": "...), a.Fields[i].Value...), "\r\n"...)
		}
		x.filePath = lines
		x.answer(a.Status, fileFault(a.Status), lines)
		return
	}
	x.mine = http1.Response{Minor: 1, Status: a.Status, ContentLength: a.Length, Fields: append(x.mine.Fields[:0], a.Fields...)}
	if by != nil && by.Kind == rule.File {
		x.typed(by)
	}
	if x.laterRules(a.Status) {
		a.Close()
		x.answerByRule(&x.decision)
		return
	}
	if x.unread() {
		x.down.closeAfter()
	}
	x.head = answerHead{response: &x.mine, length: a.Length, noBody: x.headOnly() || a.Length < 0}
	if bodiless(x.mine.Status) {
		x.head.length, x.head.noBody = -1, true
	}
	x.begin(nil)
	if x.head.noBody || x.head.length == 0 {
		if x.finish(nil, 0, 0) != nil {
			x.down.cut()
		}
		return
	}
	err := x.sendBody(a)
	if err == nil {
		return
	}
	x.down.cut()
	x.entry.Ended = accesslog.ClientGone
	if !x.down.lost() && !x.down.aborted() {
		x.entry.Ended = accesslog.Truncated
		x.complain(slog.LevelWarn, "response broke off", slog.Any("err", err), slog.String("host", string(x.request.HostField)), slog.String("uri", string(x.request.Target)))
	}
}

// fastFile is the length from which on the kernel brings a file to the client, where
// it can.
const fastFile = 64 << 10

// sendBody sends the body of an answer that has begun.
func (x *exchange) sendBody(a *static.Answer) error {
	left := a.Length
	if sender, ok := x.down.(fileSender); ok && left >= fastFile && x.stream == nil {
		sent, err := sender.sendFile(a)
		if err != nil {
			return err
		}
		left -= sent
	}
	x.prepareBack()
	for left > 0 {
		n, err := a.Read(x.back[bodyRoom : len(x.back)-bodyRoom])
		left -= int64(n)
		switch {
		case n > 0 && left > 0:
			err = x.send(x.back, bodyRoom, bodyRoom+n)
		case n > 0:
			err = x.finish(x.back, bodyRoom, bodyRoom+n)
		case err == nil || err == io.EOF:
			err = errTruncated
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// typed gives a file the status and type of a file: action.
func (x *exchange) typed(by *rule.Decision) {
	if x.mine.Status == 200 && by.Code != 0 {
		x.mine.Status, x.mine.Reason = by.Code, by.Reason
	}
	if by.ContentType == nil && by.GuessType {
		return
	}
	for i := range x.mine.Fields {
		if f := &x.mine.Fields[i]; f.Kind == http1.ContentType {
			if f.Value = by.ContentType; f.Value == nil {
				f.Flags |= http1.HopByHop
			}
		}
	}
}

func fileFault(status int) string {
	switch status {
	case 404:
		return "there is no such file"
	case 405:
		return "a file can only be read"
	case 416:
		return "the file has no such part"
	}
	return ""
}
