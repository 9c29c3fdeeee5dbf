# make build      bin/emperor, one static binary (needs only Go)
# make run        the same, and the example sites on http://hello.localhost:8080/
# make test       every test, with the race detector; installs what they need (Debian, root)
# make test-systemd       the installed units with a systemd of their own (root, namespaces; three minutes)
# make test-systemd-qemu  the same in a virtual machine: limits of control groups (half an hour)
# make check      formatting, vet, staticcheck, go.mod, import rules
# make bench      the front beside nginx, HAProxy, Caddy and uWSGI (three quarters of an hour; BENCHFLAGS=-help)
# make fuzz       every fuzz target for FUZZTIME each
# make install    binary, systemd units, and if absent /etc/emperor (DESTDIR, PREFIX)
# make clean      what make has built

GO      ?= go
VERSION ?= 0.1.0-dev
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
BIN        ?= bin

TESTFLAGS  ?=
BENCHFLAGS ?=
FUZZTIME   ?= 30s

LDFLAGS = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# -trimpath: the binary says nothing of the machine that built it. CGO_ENABLED=0:
# it runs on any Linux, also in an empty container.
GOBUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

EXAMPLE = vassals.d-example

.PHONY: build example run test test-systemd test-systemd-qemu check bench fuzz install clean

build:
	$(GOBUILD) -o $(BIN)/ ./cmd/emperor

example:
	$(GOBUILD) -o $(EXAMPLE)/bin/ ./$(EXAMPLE)/hello

run: build example
	@echo
	@echo 'sites:  http://hello.localhost:8080/   http://again.localhost:8080/'
	@echo 'try:    cp $(EXAMPLE)/hello.ini $(EXAMPLE)/blog.ini   and   http://blog.localhost:8080/ answers'
	@echo 'stop:   Ctrl-C'
	@echo
	@exec $(BIN)/emperor $(EXAMPLE)/main/emperor.ini

# The race detector needs cgo and a C compiler, the program itself does not.
test:
	@.ci/install-test-tools
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $(TESTFLAGS) ./...

# Not part of test: not every place that tests run in may make namespaces.
test-systemd:
	tests/systemd/in-namespaces

test-systemd-qemu:
	tests/systemd/in-qemu

check:
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags systemd ./tests/...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) mod tidy -diff
	$(GO) test -count=1 ./internal/archtest

bench: build
	$(GO) run ./cmd/bench $(BENCHFLAGS)

# The default minimising makes the execution count stand still for many seconds.
fuzz:
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; \
		done; \
	done

# Who installs as root need not have Go there: run make build first, as oneself.
install:
	@test -x $(BIN)/emperor || $(MAKE) build
	install -D -m 0755 $(BIN)/emperor $(DESTDIR)$(PREFIX)/bin/emperor
	install -d $(DESTDIR)$(UNITDIR)
	for unit in emperor.service emperor.socket; do \
		sed -e 's|/usr/local/bin/|$(PREFIX)/bin/|' -e 's|/etc/emperor/|$(SYSCONFDIR)/emperor/|' packaging/systemd/$$unit > $(DESTDIR)$(UNITDIR)/$$unit && \
		chmod 0644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done
	install -d $(DESTDIR)$(SYSCONFDIR)/emperor/vassals.d
	test -e $(DESTDIR)$(SYSCONFDIR)/emperor/emperor.ini || \
		install -m 0644 packaging/emperor.ini $(DESTDIR)$(SYSCONFDIR)/emperor/emperor.ini

clean:
	rm -rf $(BIN) $(EXAMPLE)/bin
