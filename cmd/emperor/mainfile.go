package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"emperor/emperor"
	"emperor/internal/config"
	"emperor/internal/link"
	"emperor/router"
	"emperor/router/rule"
	"emperor/router/stream"
)

// mainOptions is every option of the main file.
var mainOptions = sync.OnceValues(func() (*config.Set, error) { return emperor.NewSet(router.Options) })

// newReader wires the emperor's reading of main files to the router's. This is
// the only place where the two packages meet.
func newReader() (emperor.Reader, error) {
	set, err := mainOptions()
	if err != nil {
		return emperor.Reader{}, err // two packages declare one option differently
	}
	return emperor.Reader{
		Set: set, Front: router.Options, OwnRule: ownRule,
		ReadFront: router.ReadConfiguration, CheckFront: router.CheckConfiguration, Keeper: router.Keeper, SocketFor: socketFor(),
		Issuance: router.Issuance, Certificates: router.ListCertificates,
		CheckFiles: router.CheckFiles,
	}, nil
}

// ownRule tells whether a rule sends requests to a vassal by its name, which no
// uWSGI can do.
func ownRule(v config.Value) bool {
	table, _ := rule.Compile([]rule.Source{{Key: v.Key, Value: v.Value, File: v.Pos.File, Line: v.Pos.Line}})
	if table == nil {
		return false
	}
	for _, r := range table.Rules() {
		if kind, _, _ := r.Target(); kind == rule.Vassal {
			return true
		}
	}
	return false
}

// socketFor tells which socket the rules would use for a vassal of that name. It is
// asked for each vassal: rules are compiled anew only when they are others.
func socketFor() func(front link.Configuration, name string) (address, where string, ok bool) {
	var mu sync.Mutex // guards what follows
	var compiled []link.Option
	var table *rule.Table
	return func(front link.Configuration, name string) (address, where string, ok bool) {
		mu.Lock()
		if !slices.Equal(compiled, front.Options) {
			compiled, table = front.Options, compileRules(front)
		}
		table := table
		mu.Unlock()
		if table == nil {
			return "", "", false
		}
		address, by, ok := table.AddressOf(name)
		if !ok {
			return "", "", false
		}
		return address, by.Pos().String(), true
	}
}

// compileRules is nil when the rules have mistakes.
func compileRules(front link.Configuration) *rule.Table {
	keys := map[string]bool{}
	for _, key := range rule.Keys() {
		keys[key] = true
	}
	var sources []rule.Source
	for _, o := range front.Options {
		if keys[o.Key] && !stream.IsRule(o.Key, o.Value) {
			sources = append(sources, rule.Source{Key: o.Key, Value: o.Value, File: o.File, Line: o.Line})
		}
	}
	table, _ := rule.Compile(sources)
	return table
}

// compileStreams returns the rules of connections that go on as they are. What is wrong
// with them, the front has said.
func compileStreams(front link.Configuration) *stream.Table {
	var sources []stream.Source
	for _, o := range front.Options {
		if stream.IsRule(o.Key, o.Value) {
			sources = append(sources, stream.Source{Key: o.Key, Value: o.Value, File: o.File, Line: o.Line})
		}
	}
	table, _ := stream.Compile(sources)
	return table
}

// source is the configuration that a command line names. What follows "--" is the
// one program that is to be run.
func source(args []string) (emperor.Source, error) {
	dir, err := os.Getwd()
	if err != nil {
		return emperor.Source{}, fmt.Errorf("the working directory is not known: %w", err)
	}
	s := emperor.Source{Args: args, Env: os.Environ(), Dir: dir}
	if i := slices.Index(args, "--"); i >= 0 {
		if i == len(args)-1 {
			return s, usageError("want a program and its arguments after --")
		}
		s.Args, s.Command = args[:i], args[i+1:]
	}
	return s, nil
}

// warn logs the warnings among problems.
func warn(log *slog.Logger, problems config.Problems) {
	for _, p := range problems.Warnings() {
		log.Warn(p.Error())
	}
}
