package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"emperor/emperor/control"
)

// runCerts is `emperor certs [--order] [NAME…]`.
func runCerts(args []string, out io.Writer) error {
	order, args := without(args, "--order")
	q, err := ask("certs", args)
	if err != nil {
		return err
	}
	if order {
		return orderCertificates(q, out)
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

// orderCertificates has those that are named issued, or issued anew.
func orderCertificates(q question, out io.Writer) error {
	if len(q.names) == 0 {
		return usageError("certs: --order wants the name of a host")
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	var failures []error
	for _, name := range q.names {
		if err := q.client.OrderCertificate(ctx, name); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
			continue
		}
		fmt.Fprintf(out, "%s: issued\n", name)
	}
	return errors.Join(failures...)
}
