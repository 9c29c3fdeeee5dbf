package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"emperor/emperor/control"
)

// question is a command line that asks a running emperor.
type question struct {
	client *control.Client
	json   bool
	follow bool
	files  string // what to do with log files: see runLogs
	names  []string
}

// ask reads the options that status, why, logs and the orders share.
func ask(command string, args []string) (question, error) {
	var q question
	path, patience := "", control.Patience
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, given := strings.Cut(arg, "=")
		if name == "--control" || name == "--timeout" {
			if !given {
				if i++; i == len(args) {
					return q, usageError("%s: %s wants a value", command, name)
				}
				value = args[i]
			}
			if name == "--control" {
				path = value
			} else if seconds, err := strconv.ParseFloat(value, 64); err != nil || !(seconds > 0 && seconds < 1e6) {
				return q, usageError("%s: --timeout wants seconds, got %q", command, value)
			} else {
				patience = time.Duration(seconds * float64(time.Second))
			}
			continue
		}
		switch {
		case arg == "--json":
			q.json = true
		case (arg == "-f" || arg == "--follow") && (command == "logs" || command == "events"):
			q.follow = true
		case (arg == "--reopen" || arg == "--rotate") && command == "logs":
			q.files = arg[len("--"):]
		case strings.HasPrefix(arg, "-"):
			return q, usageError("%s: unknown option %s", command, arg)
		default:
			q.names = append(q.names, arg)
		}
	}
	q.client = control.NewClient(control.Path(path))
	q.client.Patience = patience
	return q, nil
}

// untilInterrupt is a context that Ctrl-C ends.
func untilInterrupt() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt)
}

// runStatus is `emperor status [VASSAL…]`.
func runStatus(args []string, out io.Writer) error {
	q, err := ask("status", args)
	if err != nil {
		return err
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	s, err := q.client.Status(ctx)
	if err != nil {
		return err
	}
	if len(q.names) > 0 {
		if s.Vassals, err = q.only(s.Vassals); err != nil {
			return err
		}
	}
	if q.json {
		return control.WriteJSON(out, s)
	}
	return control.WriteStatus(out, s, time.Now())
}

// only picks the vassals that were named.
func (q question) only(all []control.VassalStatus) ([]control.VassalStatus, error) {
	var out []control.VassalStatus
	for _, name := range q.names {
		full, err := control.Resolve(name, all)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(v control.VassalStatus) bool { return v.Name == full })
		out = append(out, all[i])
	}
	return out, nil
}

// runWhy is `emperor why VASSAL`.
func runWhy(args []string, out io.Writer) error {
	q, err := ask("why", args)
	if err != nil {
		return err
	}
	if len(q.names) != 1 {
		return usageError("why: want the name of one vassal")
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	v, err := q.client.Vassal(ctx, q.names[0])
	if err != nil {
		return err
	}
	if q.json {
		return control.WriteJSON(out, v)
	}
	return control.WriteWhy(out, v, time.Now())
}

// order makes the subcommand that gives an order to the vassals it names.
func order(word string) func(args []string, out io.Writer) error {
	return func(args []string, out io.Writer) error {
		q, err := ask(word, args)
		if err != nil {
			return err
		}
		ctx, cancel := untilInterrupt()
		defer cancel()
		if len(q.names) == 0 && control.Order(word) == control.Reload {
			return q.reloadMain(ctx, out)
		}
		if len(q.names) == 0 {
			return usageError("%s: want the name of a vassal", word)
		}
		var failures []error
		for _, name := range q.names {
			v, err := q.client.Order(ctx, name, control.Order(word))
			switch {
			case err != nil:
				failures = append(failures, fmt.Errorf("%s %s: %w", word, name, err))
			case q.json:
				failures = append(failures, control.WriteJSON(out, v))
			default:
				fmt.Fprintf(out, "%s: %s, generation %d\n", v.Name, v.State, v.Generation)
			}
		}
		return errors.Join(failures...)
	}
}

// reloadMain is `emperor reload`: SIGHUP for those who want to know what came of it.
func (q question) reloadMain(ctx context.Context, out io.Writer) error {
	u, err := q.client.ReloadMain(ctx)
	switch {
	case err != nil:
		return err
	case q.json:
		return control.WriteJSON(out, u)
	case u.Version != "":
		fmt.Fprintf(out, "upgraded from %s to %s; the main file is read again\n", u.Before, u.Version)
	default:
		fmt.Fprintln(out, "the main file holds as it is written")
	}
	return nil
}

// orderLogs is `emperor logs --reopen|--rotate [VASSAL…]`.
func (q question) orderLogs() error {
	ctx, cancel := untilInterrupt()
	defer cancel()
	names := q.names
	if len(names) == 0 {
		names = []string{""} // all
	}
	var failures []error
	for _, name := range names {
		if err := q.client.OrderLogs(ctx, name, q.files); err != nil {
			failures = append(failures, fmt.Errorf("%s %s: %w", q.files, cmp.Or(name, "all logs"), err))
		}
	}
	return errors.Join(failures...)
}

// runLogs is `emperor logs [-f] VASSAL`.
func runLogs(args []string, out io.Writer) error {
	q, err := ask("logs", args)
	if err != nil {
		return err
	}
	if q.files != "" {
		return q.orderLogs()
	}
	if len(q.names) != 1 {
		return usageError("logs: want the name of one vassal")
	}
	ctx, cancel := untilInterrupt()
	defer cancel()
	for line, err := range q.client.Logs(ctx, q.names[0], q.follow) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if q.json {
			err = control.WriteJSON(out, line)
		} else {
			err = control.WriteLogLine(out, line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
