package sysd

import "github.com/coreos/go-systemd/v22/journal"

// StderrIsJournal tells whether stderr goes to systemd's journal, which notes the time
// of each line itself, and would make of each line a record without fields.
func StderrIsJournal() bool {
	yes, err := journal.StderrIsJournalStream()
	return err == nil && yes
}
