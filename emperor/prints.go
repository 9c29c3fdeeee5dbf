package emperor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"emperor/emperor/monitor"
)

// filePrint stands for a vassal's file and those it includes, as they are.
func filePrint(file monitor.Stamp, includes monitor.Fingerprint) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v %x", file, includes)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// frontPrint stands for all that the router is sent. Where a line stands makes no
// difference.
func (m *Main) frontPrint() string {
	h := sha256.New()
	for _, o := range m.Front.Options {
		fmt.Fprintf(h, "%q=%q\n", o.Key, o.Value)
	}
	for _, l := range m.Front.Listeners {
		fmt.Fprintf(h, "%q=%q\n", l.Option, l.Address)
	}
	for _, r := range m.Front.Resources {
		fmt.Fprintf(h, "%q %q %x\n", r.Kind, r.Path, sha256.Sum256(r.Content))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
