package emperor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"emperor/emperor/control"
)

// expiresSoon is when a certificate that nobody renews by itself is worth a word.
const expiresSoon = 21 * 24 * time.Hour

// OrderCertificate implements control.Emperor.
func (e *Emperor) OrderCertificate(ctx context.Context, name string) error {
	return e.acme.Order(ctx, name)
}

// Certificates implements control.Emperor.
func (e *Emperor) Certificates() []control.Certificate {
	main := e.view.Load().main
	now := time.Now()
	var all []control.Certificate
	if main.certificates != nil {
		for _, c := range main.certificates(&main.Front) {
			one := control.Certificate{Name: c.Name, Source: c.Option, From: c.File, At: c.At, Expires: c.Expires, Trouble: c.Trouble, Action: "none"}
			switch {
			case c.Trouble != "":
				one.Action = "put a good one there"
			case c.Expires.IsZero():
				one.Action = "loaded when a name is asked for"
			case !c.Expires.After(now):
				one.Action = "ended: replace the file"
			case c.Expires.Sub(now) < expiresSoon:
				one.Action, one.Due = "replace the file", c.Expires
			}
			all = append(all, one)
		}
	}
	for _, c := range e.acme.List() {
		one := control.Certificate{Name: c.Name, Source: "acme", From: c.Issuer, Expires: c.Expires, Due: c.Next, Trouble: c.Trouble}
		switch {
		case c.Ordered:
			one.Action, one.Due = "being ordered", time.Time{}
		case c.Expires.IsZero():
			one.Action = "order"
		default:
			one.Action = "renewal"
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b control.Certificate) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
