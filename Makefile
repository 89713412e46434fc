# ocifs. `make` alone lists the targets; `make demo` and `make check` are the two to know.
# CI runs `make check` and nothing else, so what passes here passes there.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX   ?= /usr/local
SBINDIR  ?= /usr/sbin
BINARY   ?= bin/ocifs
ARCHES   ?= amd64 arm64 riscv64 ppc64le s390x
FUZZTIME ?= 10s
COUNT    ?= 10
BASE     ?= main
V        ?=# V=-v names every test

# What an image shows and what it costs, run once more through the kernel's EROFS
# where that can be had.
FACES = ^Test(Formats|Sources|Quirks|Budgets|Lazy|LayersStacked|Damaged.*|Faults|Background|Terminated|Busy|TwoMounts|ReadOnly|ManyNames|Exec.*|Corpus.*|Dialects.*)$$

# Packages are as old as the commit they are made of. Debian's versions have no
# dashes here; without a tag, any release is newer.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
DEBVERSION := $(shell echo $(VERSION) | sed -E -e '/^v[0-9]/!s/^/0~/' -e 's/^v//' -e 's/-/+/g')

# The binary is static: no cgo, so it runs in any container and on any libc;
# -trimpath and the stamped version make two builds of one commit the same bytes.
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
# -shuffle finds tests that lean on one another; -count=1 because a test with
# a mount, a clock or a child process behind it must not be answered from the cache.
GOTEST  := go test $V -shuffle=on -count=1 -timeout 10m
UNIT     = $$(go list ./... | grep -v -e '/fs$$' -e '/tests$$')

.PHONY: help build demo formats check lint test race fuse e2e arrows fuzz cross bench benchcmp bench-peers cover tools install install-built uninstall dist debian LICENSES deb repro clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/ocifs, static
	@mkdir -p bin
	@$(GOBUILD) -o bin/ocifs ./cmd/ocifs

demo: build ## mount an image of this machine from a slow registry in this process
	@go run ./tests/demo bin/ocifs

formats: build ## what a first look at a small file takes in each format, at 20 ms (ARGS='-image REF -file PATH')
	@go run ./tests/demo -formats $(ARGS) bin/ocifs

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
	OCIFS_FACE=auto OCIFS_BINARY=$(CURDIR)/bin/ocifs PATH="$(CURDIR)/bin:$$PATH" $(GOTEST) -run '$(FACES)' ./tests

# Go's fuzzer may fail of its own deadline, with no input to blame: on a loaded
# machine, when the time is up while its workers are asked for what they have done.
fuzz: ## every fuzz target in the tree for FUZZTIME
	@for p in $$(go list ./...); do
	  for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do
	    echo "go test -fuzz=$$f -fuzztime=$(FUZZTIME) $$p"
	    out=$$(mktemp)
	    go test -run='^$$' -fuzz="^$$f\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x $$p 2>&1 | tee $$out ||
	      { grep -q '^    context deadline exceeded$$' $$out && ! grep -q 'Failing input' $$out; }
	    rm -f $$out
	  done
	done

# s390x has its bytes the other way round, and vet looks at tests, too.
cross: ## the other architectures compile, and vet is content
	for a in $(filter-out $(shell go env GOHOSTARCH),$(ARCHES)); do
	  CGO_ENABLED=0 GOARCH=$$a go build -o /dev/null ./cmd/ocifs
	done
	CGO_ENABLED=0 GOARCH=arm64 go vet ./...
	CGO_ENABLED=0 GOARCH=s390x go vet ./...

bench: ## benchmarks, COUNT times, for benchstat
	@mkdir -p bin
	go test -run='^$$' -bench=. -benchmem -count=$(COUNT) ./... | tee bin/bench.txt

benchcmp: tools ## benchmarks of BASE and of this tree, compared
	rm -rf bin/base && git worktree prune && git worktree add -f --detach bin/base $(BASE)
	(cd bin/base && go test -run='^$$' -bench=. -benchmem -count=$(COUNT) ./...) > bin/bench-base.txt
	$(MAKE) bench
	git worktree remove --force bin/base
	bin/benchstat bin/bench-base.txt bin/bench.txt

# QUESTIONS: names, separated by commas; RUNS: trials of each; IMAGES: OCI image layouts,
# or a directory of them, else an image is made of this machine; LINKS: ways to the
# registry; WORK: where all is made; KEEP=1 leaves there what takes long to make.
RUNS  ?= 3
LINKS ?= 0/0,20ms/1Gbit,100ms/100Mbit
bench-peers: build ## ocifs against other programs, into docs/benchmarks.md; takes root
	@mkdir -p bin
	go build -o bin/bench-peers ./tests/peers
	stargz=bin/bench-stargz
	(cd tests/peers/stargz && go build -o ../../../$$stargz .) || stargz=
	exec bin/bench-peers -questions='$(QUESTIONS)' -runs=$(RUNS) -images='$(IMAGES)' -links='$(LINKS)' \
	  -stargz=$$stargz $(if $(WORK),-work='$(WORK)') $(if $(KEEP),-keep) bin/ocifs

cover: ## coverage of the unit and FUSE tests, per function
	@mkdir -p bin
	go test -coverpkg=./... -coverprofile=bin/cover.out $(UNIT) ./fs && go tool cover -func=bin/cover.out | tail -1

# They have a module of their own, so that go.mod names what ocifs is made of.
tools: ## bin/umoci (the oracle of e2e), bin/staticcheck, bin/benchstat
	@mkdir -p bin
	(cd tests/tools && go build -o ../../bin/ tool)

install: build install-built ## PREFIX=/usr/local, SBINDIR=/usr/sbin, DESTDIR=

# bin/ocifs is this machine's, and writes the pages; BINARY may be another's.
install-built:
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/ocifs
	install -d $(DESTDIR)$(SBINDIR) # mount(8) looks for its helpers in /sbin alone, which is /usr/sbin
	for t in ocifs fuse.ocifs fuse3.ocifs; do
	  ln -srf $(DESTDIR)$(PREFIX)/bin/ocifs $(DESTDIR)$(SBINDIR)/mount.$$t
	done
	bin/ocifs man --dir $(DESTDIR)$(PREFIX)/share/man
	for t in fuse.ocifs fuse3.ocifs; do
	  echo .so man8/mount.ocifs.8 > $(DESTDIR)$(PREFIX)/share/man/man8/mount.$$t.8
	done
	install -D -m 0644 cmd/ocifs/completion/ocifs.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ocifs
	install -D -m 0644 cmd/ocifs/completion/ocifs.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ocifs
	install -D -m 0644 cmd/ocifs/completion/ocifs.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ocifs.fish
	for d in system user; do
	  install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/$$d cmd/ocifs/system/ocifs@.service
	done

uninstall: ## what install has put below PREFIX and SBINDIR
	rm -f $(DESTDIR)$(SBINDIR)/mount.{ocifs,fuse.ocifs,fuse3.ocifs}
	cd $(DESTDIR)$(PREFIX)
	rm -f bin/ocifs share/man/man1/ocifs.1 share/man/man1/ocifs-*.1 share/man/man8/mount.{ocifs,fuse.ocifs,fuse3.ocifs}.8
	rm -f share/bash-completion/completions/ocifs share/zsh/site-functions/_ocifs share/fish/vendor_completions.d/ocifs.fish
	rm -f lib/systemd/{system,user}/ocifs@.service

# What is linked into the binary is others' work, whose licences go with it.
LICENSES: build
	@go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/ocifs | LC_ALL=C sort -u > bin/modules
	echo "std $$(go env GOROOT)" >> bin/modules
	while read -r module dir; do
	  for f in $$(find $$dir -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|copying\|notice\|copyright\)[^/]*' | LC_ALL=C sort); do
	    printf '==== %s: %s\n\n' $$module $${f##*/} && cat $$f && echo
	  done
	done < bin/modules > bin/LICENSES

# Below bin/dist, ARCH/ has the tree that is packed, with PREFIX=/usr.
dist: build LICENSES ## bin/dist: a .tar.gz and a .deb for each of ARCHES
	umask 022
	rm -rf bin/dist
	for a in $(ARCHES); do
	  d=bin/dist/$$a
	  GOOS=linux GOARCH=$$a $(GOBUILD) -o $$d/ocifs ./cmd/ocifs
	  $(MAKE) -s install-built BINARY=$$d/ocifs PREFIX=/usr SBINDIR=/usr/sbin DESTDIR=$$d/root
	  gzip -9n $$d/root/usr/share/man/man?/*
	  install -D -m 0644 -t $$d/root/usr/share/doc/ocifs LICENSE README.md docs/recipes.md bin/LICENSES
	  gzip -9n $$d/root/usr/share/doc/ocifs/LICENSES
	  tar -C $$d/root --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner -c usr |
	    gzip -9n > bin/dist/ocifs_$(DEBVERSION)_linux_$$a.tar.gz
	  $(MAKE) -s debian ROOT=$$d/root DEBARCH=$${a/ppc64le/ppc64el}
	  rm -r $$d
	done
	cd bin/dist
	sha256sum *.tar.gz *.deb | tee SHA256SUMS

# ROOT is what a .tar.gz has; a .deb has it Debian's way.
debian:
	doc=$(ROOT)/usr/share/doc/ocifs
	rm $$doc/LICENSE # base-files has it
	install -m 0644 cmd/ocifs/system/copyright $$doc
	printf 'ocifs ($(DEBVERSION)) unstable; urgency=medium\n\n  * See the commits.\n\n -- %s  %s\n' \
	  "$$(sed -n 's/^Maintainer: //p' cmd/ocifs/system/control)" "$$(LC_ALL=C date -uRd @$(SOURCE_DATE_EPOCH))" | gzip -9n > $$doc/changelog.gz
	install -D -m 0644 cmd/ocifs/system/lintian-overrides $(ROOT)/usr/share/lintian/overrides/ocifs
	mv $(ROOT)/usr/share/zsh/{site-functions,vendor-completions} # where Debian's zsh looks
	mkdir $(ROOT)/DEBIAN
	(cd $(ROOT) && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums)
	sed -e 's/@VERSION@/$(DEBVERSION)/' -e "s/@ARCH@/$(DEBARCH)/" \
	  -e "s/@SIZE@/$$(du -ks --apparent-size $(ROOT)/usr | cut -f1)/" cmd/ocifs/system/control > $(ROOT)/DEBIAN/control
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) dpkg-deb --root-owner-group -Zxz --build $(ROOT) bin/dist/ocifs_$(DEBVERSION)_$(DEBARCH).deb >/dev/null

deb: ## bin/dist: a .deb for this machine
	$(MAKE) dist ARCHES=$$(go env GOHOSTARCH)

repro: ## whether a second build elsewhere, of this commit, is the same bytes
	$(MAKE) dist
	rm -rf bin/repro && git worktree prune && git worktree add -f --detach bin/repro HEAD
	trap 'git worktree remove --force bin/repro' EXIT
	$(MAKE) -C bin/repro dist VERSION=$(VERSION)
	cmp bin/dist/SHA256SUMS bin/repro/bin/dist/SHA256SUMS

clean: ## remove bin/
	rm -rf bin
