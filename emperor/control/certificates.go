package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
)

// Certificates is the answer to GET /certificates.
type Certificates struct {
	Certificates []Certificate `json:"certificates"`
}

// Certificate is one that the front has, or is to have.
type Certificate struct {
	Name string `json:"name"`
	// Source is the option that it is there by: sni, sni-regexp, sni-dir, https or acme.
	Source string `json:"source"`
	// From is the file, or the certificate authority.
	From string `json:"from"`
	At   string `json:"at,omitempty"` // FILE:LINE of the option
	// Expires is zero where there is no certificate, or it cannot be read.
	Expires time.Time `json:"expires,omitzero"`
	// Action is what happens next, in words, and when; Due is zero where nobody knows.
	Action string    `json:"action"`
	Due    time.Time `json:"due,omitzero"`
	// Trouble is why there is none, or why it cannot be used or renewed.
	Trouble string `json:"trouble,omitempty"`
}

// Certificates asks for all certificates.
func (c *Client) Certificates(ctx context.Context) (Certificates, error) {
	var all Certificates
	err := c.ask(ctx, http.MethodGet, "/certificates", &all)
	return all, err
}

// OrderCertificate has one issued, or issued anew, and waits for it.
func (c *Client) OrderCertificate(ctx context.Context, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() { // ends with ctx
		defer close(watching)
		c.watch(ctx, cancel)
	}()
	defer func() { cancel(nil); <-watching }()
	body, err := c.open(ctx, http.MethodPost, "/certificates/"+url.PathEscape(name)+"/order")
	if err != nil {
		return err
	}
	return c.decode(ctx, body, &struct{}{})
}

// WriteCertificates writes what `emperor certs` shows.
func WriteCertificates(w io.Writer, all Certificates, now time.Time) error {
	var b bytes.Buffer
	if len(all.Certificates) == 0 {
		b.WriteString("no certificates\n")
	} else {
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tSOURCE\tFROM\tEXPIRES\tNEXT")
		for i := range all.Certificates {
			c := &all.Certificates[i]
			next := c.Action
			if !c.Due.IsZero() {
				next += " " + when(c.Due, now)
			}
			if c.Trouble != "" {
				next += ": " + c.Trouble
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", clean(c.Name), c.Source, clean(c.From), expiry(c.Expires, now), strings.ReplaceAll(clean(next), "\t", " "))
		}
		table.Flush()
	}
	_, err := w.Write(trimLines(b.Bytes()))
	return err
}

// expiry is a day and how far it is.
func expiry(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case !t.After(now):
		return t.Format(time.DateOnly) + " (ended)"
	}
	return fmt.Sprintf("%s (%s)", t.Format(time.DateOnly), span(t.Sub(now)))
}

func when(t, now time.Time) string {
	if !t.After(now) {
		return "now"
	}
	return "in " + span(t.Sub(now))
}
