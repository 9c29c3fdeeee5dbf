package logsink

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// JournalSocket is where systemd's journal takes records with fields.
const JournalSocket = "/run/systemd/journal/socket"

// journalFormat makes records of the journal; see NewJournal.
type journalFormat struct{}

// NewJournal is the journal's native form, with the fields that a reader can ask for:
//
//	journalctl VASSAL=shop.ini STREAM=output -p warning
//
// SYSLOG_IDENTIFIER, which journalctl shows before each line, is the vassal's name. A
// line that begins with "<3>" has that priority, as in a unit's output (sd-daemon(3)).
func NewJournal() Format { return journalFormat{} }

func (journalFormat) Append(dst []byte, m *Message) []byte {
	text, priority := m.Text, m.Priority
	if m.Stream == StreamOutput && len(text) >= 3 && text[0] == '<' && text[2] == '>' && text[1] >= '0' && text[1] <= '7' {
		priority, text = int(text[1]-'0'), text[3:]
	}
	identifier := "emperor"
	if m.Vassal != "" {
		identifier = m.Vassal // of a file, whose name may hold anything: see appendPrintable
	}
	dst = append(append(append(dst, "PRIORITY="...), byte('0'+priority)), "\nSYSLOG_IDENTIFIER="...)
	dst = append(appendPrintable(dst, []byte(identifier)), '\n')
	if m.Vassal != "" {
		dst = append(appendPrintable(append(dst, "VASSAL="...), []byte(m.Vassal)), '\n')
	}
	if m.Generation != 0 {
		dst = append(strconv.AppendUint(append(dst, "GENERATION="...), m.Generation, 10), '\n')
	}
	dst = append(append(append(dst, "STREAM="...), m.Stream...), '\n')
	dst = append(dst, "MESSAGE"...)
	if bytes.IndexByte(text, '\n') < 0 {
		return append(append(append(dst, '='), text...), '\n')
	}
	dst = binary.LittleEndian.AppendUint64(append(dst, '\n'), uint64(len(text)))
	return append(append(dst, text...), '\n')
}
