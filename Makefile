# ocifs. `make` alone lists the targets; `make demo` and `make check` are the two to know.
# CI runs `make check` and nothing else, so what passes here passes there.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX   ?= /usr/local
SBINDIR  ?= /usr/sbin
FUZZTIME ?= 10s
COUNT    ?= 10
BASE     ?= main
V        ?=# V=-v names every test

# The binary is static: no cgo, so it runs in any container and on any libc;
# -trimpath and the stamped version make two builds of one commit the same bytes.
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
# -shuffle finds tests that lean on one another; -count=1 because a test with
# a mount, a clock or a child process behind it must not be answered from the cache.
GOTEST  := go test $V -shuffle=on -count=1 -timeout 10m
UNIT     = $$(go list ./... | grep -v -e '/fs$$' -e '/tests$$')

.PHONY: help build demo check lint test race fuse e2e arrows fuzz cross bench benchcmp cover tools install clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9]+:.*## /{printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/ocifs, static
	@mkdir -p bin
	@$(GOBUILD) -o bin/ocifs ./cmd/ocifs

demo: build ## mount an image of this machine from a slow registry in this process
	@go run ./tests/demo bin/ocifs

check: lint cross test race fuse e2e fuzz ## all that CI runs

lint: tools arrows ## gofmt, vet, staticcheck, module files, import table
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "$$unformatted" >&2; exit 1; }
	go vet ./...
	bin/staticcheck ./...
	go mod tidy -diff
	go mod verify

arrows: ## the import table and the other rules of the tree
	$(GOTEST) -run '^TestSource[A-Z]' ./tests

test: ## unit tests: no root, no FUSE
	$(GOTEST) $(UNIT)

# -short does fewer rounds of random damage: there is one goroutine to race there.
race: ## unit tests and FUSE tests under the race detector
	$(GOTEST) -race -short $(UNIT) ./fs

# A FUSE server and its client in one process lock up first where only one
# goroutine can run at a time: so once as it is, once with one processor.
fuse: ## tests that mount in their own process
	$(GOTEST) -p 1 ./fs
	GOMAXPROCS=1 $(GOTEST) -p 1 ./fs

e2e: build tools ## tests of the built binary against real mounts
	OCIFS_BINARY=$(CURDIR)/bin/ocifs PATH="$(CURDIR)/bin:$$PATH" $(GOTEST) ./tests

fuzz: ## every fuzz target in the tree for FUZZTIME
	@for p in $$(go list ./...); do
	  for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do
	    echo "go test -fuzz=$$f -fuzztime=$(FUZZTIME) $$p"
	    go test -run='^$$' -fuzz="^$$f\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x $$p
	  done
	done

cross: ## the other architectures compile, and vet is content
	for a in arm64 riscv64; do
	  CGO_ENABLED=0 GOARCH=$$a go vet ./...
	  CGO_ENABLED=0 GOARCH=$$a go build -o /dev/null ./cmd/ocifs
	done

bench: ## benchmarks, COUNT times, for benchstat
	@mkdir -p bin
	go test -run='^$$' -bench=. -benchmem -count=$(COUNT) ./... | tee bin/bench.txt

benchcmp: tools ## benchmarks of BASE and of this tree, compared
	rm -rf bin/base && git worktree prune && git worktree add -f --detach bin/base $(BASE)
	(cd bin/base && go test -run='^$$' -bench=. -benchmem -count=$(COUNT) ./...) > bin/bench-base.txt
	$(MAKE) bench
	git worktree remove --force bin/base
	bin/benchstat bin/bench-base.txt bin/bench.txt

cover: ## coverage of the unit and FUSE tests, per function
	@mkdir -p bin
	go test -coverpkg=./... -coverprofile=bin/cover.out $(UNIT) ./fs && go tool cover -func=bin/cover.out | tail -1

# They have a module of their own, so that go.mod names what ocifs is made of.
tools: ## bin/umoci (the oracle of e2e), bin/staticcheck, bin/benchstat
	@mkdir -p bin
	(cd tests/tools && go build -o ../../bin/ tool)

# mount(8) looks for its helpers in /sbin alone, which is /usr/sbin.
install: build ## PREFIX=/usr/local, SBINDIR=/usr/sbin, DESTDIR=
	install -D -m 0755 bin/ocifs $(DESTDIR)$(PREFIX)/bin/ocifs
	install -d $(DESTDIR)$(SBINDIR)
	for t in ocifs fuse.ocifs fuse3.ocifs; do
	  ln -srf $(DESTDIR)$(PREFIX)/bin/ocifs $(DESTDIR)$(SBINDIR)/mount.$$t
	done
	bin/ocifs man --dir $(DESTDIR)$(PREFIX)/share/man
	cd cmd/ocifs/completion
	install -D -m 0644 ocifs.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ocifs
	install -D -m 0644 ocifs.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ocifs
	install -D -m 0644 ocifs.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ocifs.fish
	cd ../../..
	for d in system user; do
	  install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/$$d cmd/ocifs/system/ocifs@.service
	done

clean: ## remove bin/
	rm -rf bin
