# The two commands to begin with: make demo, and make test. Each sets itself up.

GO ?= go
GOFLAGS += -buildvcs=false # a checkout that belongs to somebody else builds too
export GOFLAGS
export CGO_ENABLED ?= 0
export HOME ?= $(shell getent passwd $$(id -u) | cut -d: -f6)

.DEFAULT_GOAL := build
.PHONY: build check style test chaos demo bench fuzz generate golden interop interop-v2 interop-fhir interop-editor setup interop-setup

build:                     ## bin/silta
	@mkdir -p bin
	$(GO) build -o bin/silta ./cmd/silta

check: style               ## format, vet, floors, unit tests: only Go, under a minute (fewer kills and seeds than make test)
	$(GO) test -short ./...

style:
	@folders=$$($(GO) list -f '{{.Dir}}' ./...) || exit 1; \
	unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$folders) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is needed for:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags kafka,postgres,interop ./...

# The race detector watches all code but SQLite's own, which is C turned into Go: every access to its pages cost a look, and
# they were more than a third of what the tests of the stores took. Its driver is watched.
RACE = -race -gcflags=modernc.org/sqlite/lib=-race=false

# Everything: the race detector, real Kafka brokers, and a real PostgreSQL. A later test that needs a browser adds it to
# PACKAGES; none does yet, so it isn't installed.
test: setup style          ## everything, on a fresh Debian with Go and make
	CGO_ENABLED=1 $(GO) test $(RACE) -shuffle=on -timeout 25m -tags kafka,postgres ./...
	$(GO) test ./testfixtures/simulation -run 'Promise|SameHistory' -seeds=$(SEEDS)
	$(GO) test ./mappings -run 'BrokenMessages|DamagedMessages' -damaged=1500

CHAOS ?= 10m
chaos: setup               ## hub processes, brokers and PostgreSQL killed and stopped under load, disks full
	$(GO) test -count=1 -v -timeout 3h -tags kafka,postgres ./testfixtures/chaos -chaos=$(CHAOS)

demo: build                ## a referral crosses and the answers come home
	bin/silta demo

bench: build               ## figures with their baselines, on this machine
	bin/silta bench parse
	bin/silta bench map
	bin/silta bench fhir
	bin/silta bench flow
	bin/silta bench door --hold 1000

SEEDS ?= 1000

FUZZTIME ?= 10s
fuzz:                      ## every fuzz target for FUZZTIME
	@found=0; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    found=1; echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; \
	  done; \
	done; [ $$found = 1 ] || { echo "no fuzz target was found"; exit 1; }

generate:                  ## the dictionaries and schemas, from the standards' packages
	$(GO) generate ./...

golden: build              ## expected outputs, to be read as a diff
	SILTA_GOLDEN=1 $(GO) test -count=1 ./...

INTEROP = testfixtures/interop
interop: interop-v2 interop-fhir interop-editor  ## what HAPI and hl7apy make of our messages, and HAPI of our verdicts and of what maps make; HAPI's speed beside ours; the map schema in a language server

interop-v2: $(INTEROP)/.venv/ready $(INTEROP)/hapi/target/ready
	$(GO) test -tags interop -count=1 -v -skip '^TestFHIR|^TestEditor' ./$(INTEROP)

interop-fhir: $(INTEROP)/hapifhir/target/ready $(INTEROP)/hapifhir/target/examples/ready
	$(GO) test -tags interop -count=1 -timeout 30m -v -run '^TestFHIR|^TestTheDocs' ./$(INTEROP)

interop-editor: $(INTEROP)/editor/node_modules/ready
	$(GO) test -tags interop -count=1 -v -run '^TestEditor' ./$(INTEROP)

$(INTEROP)/editor/node_modules/ready: $(INTEROP)/editor/package.json | interop-setup
	npm install --prefix $(@D)/.. --silent --no-audit --no-fund --no-package-lock
	@touch $@

$(INTEROP)/.venv/ready: $(INTEROP)/hl7apy/requirements.txt | interop-setup
	python3 -m venv --clear $(INTEROP)/.venv
	$(INTEROP)/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(INTEROP)/hapi/target/ready $(INTEROP)/hapifhir/target/ready: $(INTEROP)/%/target/ready: $(INTEROP)/%/pom.xml $(wildcard $(INTEROP)/*/src/main/java/fi/silta/interop/*.java) | interop-setup
	mvn -B -q -Dstyle.color=never -f $< compile dependency:copy-dependencies
	@rm -f $(@D)/answers.jsonl
	@touch $@

FHIR_EXAMPLES = hl7.fhir.r4.examples
$(INTEROP)/hapifhir/target/examples/ready: | interop-setup
	@mkdir -p $(@D)
	npm pack --silent --pack-destination $(@D) $(FHIR_EXAMPLES)@4.0.1
	tar -xzf $(@D)/$(FHIR_EXAMPLES)-4.0.1.tgz -C $(@D)
	@touch $@

# install fetches Debian packages as root: $(1) is who needs them, $(2) which.
install = as=; if [ "$$(id -u)" != 0 ]; then sudo -n true 2>/dev/null && as="sudo -n" || \
	  { echo "$(1) need more packages. Type: sudo apt-get update && sudo apt-get install -y --no-install-recommends $(2)"; exit 1; }; fi; \
	echo "installing $(2)"; \
	$$as apt-get -qq update >/dev/null && \
	$$as env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $(2) >/dev/null

# What the judges need beside Go: a Java compiler and Maven for HAPI, Python for hl7apy, npm for R4's examples and the language server.
interop-setup:
	@command -v javac >/dev/null && command -v mvn >/dev/null && command -v npm >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null && exit 0; \
	$(call install,The judges,default-jdk-headless maven python3-venv $$(command -v npm >/dev/null || echo npm))

# What the tests need beside Go, on Debian: a C compiler for the race detector, a Java runtime and Maven for the broker,
# and a database server.
PACKAGES = gcc libc6-dev default-jre-headless maven postgresql
setup:
	@command -v gcc >/dev/null && command -v java >/dev/null && command -v mvn >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0; \
	$(call install,The tests,$(PACKAGES))
