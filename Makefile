# The two commands to begin with: make demo, and make test. Each sets itself up.

GO ?= go
GOFLAGS += -buildvcs=false # a checkout that belongs to somebody else builds too
export GOFLAGS
export CGO_ENABLED ?= 0
export HOME ?= $(shell getent passwd $$(id -u) | cut -d: -f6)

.DEFAULT_GOAL := build
.PHONY: build check style test demo bench fuzz generate golden setup

build:                     ## bin/silta
	@mkdir -p bin
	$(GO) build -o bin/silta ./cmd/silta

check: style               ## format, vet, floors, unit tests: only Go, under a minute (fewer kills and seeds than make test)
	$(GO) test -short ./...

style:
	@folders=$$($(GO) list -f '{{.Dir}}' ./...) || exit 1; \
	unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$folders) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is needed for:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags kafka ./...

# Everything: the race detector, and real Kafka brokers. A later test that needs PostgreSQL or a browser adds them to
# PACKAGES; none does yet, so they aren't installed.
test: setup style          ## everything, on a fresh Debian with Go and make
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 25m -tags kafka ./...
	$(GO) test ./testfixtures/simulation -run Promise -seeds=$(SEEDS)

demo: build                ## a referral crosses and the answers come home
	bin/silta demo

bench: build               ## figures with their baselines, on this machine
	bin/silta bench parse
	bin/silta bench map
	bin/silta bench flow

SEEDS ?= 1000

FUZZTIME ?= 10s
fuzz:                      ## every fuzz target for FUZZTIME
	@found=0; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    found=1; echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done; [ $$found = 1 ] || { echo "no fuzz target was found"; exit 1; }

generate:                  ## the dictionaries and schemas, from the standards' packages
	$(GO) generate ./...

golden: build              ## expected outputs, to be read as a diff
	SILTA_GOLDEN=1 $(GO) test -count=1 ./...

# What the tests need beside Go, on Debian: a C compiler for the race detector, a Java runtime and Maven for the broker.
PACKAGES = gcc libc6-dev default-jre-headless maven
setup:
	@command -v gcc >/dev/null && command -v java >/dev/null && command -v mvn >/dev/null && exit 0; \
	as=; if [ "$$(id -u)" != 0 ]; then sudo -n true 2>/dev/null && as="sudo -n" || \
	  { echo "The tests need more packages. Type: sudo apt-get update && sudo apt-get install -y --no-install-recommends $(PACKAGES)"; exit 1; }; fi; \
	echo "installing $(PACKAGES)"; \
	$$as apt-get -qq update >/dev/null && \
	$$as env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $(PACKAGES) >/dev/null
