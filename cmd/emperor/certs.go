package main

import (
	"io"
	"slices"
	"time"

	"emperor/emperor/control"
)

// runCerts is `emperor certs [NAME…]`.
func runCerts(args []string, out io.Writer) error {
	q, err := ask("certs", args)
	if err != nil {
		return err
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	all, err := q.client.Certificates(ctx)
	if err != nil {
		return err
	}
	if len(q.names) > 0 {
		all.Certificates = slices.DeleteFunc(all.Certificates, func(c control.Certificate) bool { return !slices.Contains(q.names, c.Name) })
		if len(all.Certificates) == 0 {
			return &failure{exitFailed, "no such certificate; emperor certs lists all"}
		}
	}
	if q.json {
		return control.WriteJSON(out, all)
	}
	return control.WriteCertificates(out, all, time.Now())
}
