# make testnet         build, bring a consortium of three organisations up, show a bundle going round, stay up
# make test            everything that can be tested here; go vet is for make lint
# make race            the end-to-end tests with daemons that look for data races, which takes a quarter of an hour
# make hostile         scenarios of a member that keeps to no rule, against real nodes; up to ten minutes
# make walkthrough     README's "A consortium for real" as three Unix users, on a chain with rounds of 2.8 s; needs root, four minutes
# make test-algorand   the end-to-end tests against the algod and indexer of the SLNODE_TEST_* variables
# make fuzz            a minute over all fuzz targets; FUZZ=600 for ten
# make bench           the benchmarks; see docs/PERFORMANCE.md. COMPARE=REV: those of another revision beside them, in turn,
#                      of the packages in PKG, those named by BENCH, COUNT times
# make lint            gofmt, go vet, staticcheck, known vulnerabilities, and which modules are linked: scripts/modules.txt
# make install         bin/slnode, its manual pages, completions, documents and unit, below PREFIX (/usr/local), itself below DESTDIR
# make release         archives, Debian packages, container images, lists of components and checksums of the commit, in dist
# make release-check   makes a release twice, in two folders and with nothing remembered, and compares the bytes
# make test-package    installs the Debian package in a bare Debian and starts a node there; needs root and debootstrap
# make test-image      loads the container image with podman and starts a node there
# make mutants         what the tests of PKG (./internal/wire) don't notice, of N mutants drawn with SEED or of all: scripts/mutants

export CGO_ENABLED ?= 0

# The race detector needs a C compiler. It does not look into ciphers, hashes and codecs, which have no goroutines and
# would take half of the time. None of these may use a sync.Map or another generic type that synchronises: its methods
# are compiled into them, and where the linker takes those the detector sees races that there are not. At its end a
# program does not sleep for the second in which it would wait for races of goroutines that nobody waits for.
ifneq ($(shell command -v gcc),)
RACE := CGO_ENABLED=1 GORACE=atexit_sleep_ms=0
PLAIN := crypto/internal/fips140 golang.org/x/crypto filippo.io/age encoding/base64 \
	github.com/go-json-experiment/json/jsontext github.com/go-json-experiment/json/internal github.com/algorand/go-codec/codec \
	github.com/cockroachdb/pebble/v2/sstable/colblk github.com/cockroachdb/pebble/v2/internal/compact
RACE_FLAG := -race $(PLAIN:%=-gcflags='%/...=-race=false')
endif

# What is tested without the race detector, which takes five times as long: packages without a goroutine, where it would
# find nothing (testnet/pure_test.go holds that they have none), and those whose tests open stores by the hundred: races
# of stores are looked for by the tests of everything that uses them.
MODULE := github.com/serviceledger/slnode
PURE := $(addprefix $(MODULE)/internal/,consortium evidence export microalgo observable onchain quality seal spelling splice spool stix wire)
STORES := $(addprefix $(MODULE)/,repo repo/internal/kv)

# The scenarios with a hostile member.
HOSTILE := ^TestHostile

.PHONY: build install release release-check test-package test-image test race hostile walkthrough test-algorand fuzz bench lint modules mutants testnet clean

# The same sources give the same program in every folder, and without what only a debugger reads.
BUILD := go build -trimpath -ldflags='-s -w'

build:
	$(BUILD) -o bin/slnode ./cmd/slnode
	$(BUILD) -o bin/devchain ./testnet/cmd/devchain
	$(BUILD) -o bin/testnet ./testnet/cmd/testnet

# PROGRAM is installed, and TELLER, the same for this machine, says what its pages and completions are.
PREFIX ?= /usr/local
PROGRAM ?= bin/slnode
TELLER ?= $(PROGRAM)
SHARE = $(DESTDIR)$(PREFIX)/share
ZSH ?= $(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)

install: $(PROGRAM)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/slnode
	install -d $(SHARE)/man/man1 $(SHARE)/bash-completion/completions $(SHARE)/zsh/$(ZSH) $(SHARE)/fish/vendor_completions.d $(SHARE)/doc/slnode
	$(TELLER) manpage $(SHARE)/man/man1
	$(TELLER) completion bash > $(SHARE)/bash-completion/completions/slnode
	$(TELLER) completion zsh > $(SHARE)/zsh/$(ZSH)/_slnode
	$(TELLER) completion fish > $(SHARE)/fish/vendor_completions.d/slnode.fish
	cp --parents README.md CHANGELOG.md SECURITY.md $$(find docs -name vectors -prune -o -type f ! -name '*.go' ! -name '*.service' -print) $(SHARE)/doc/slnode
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local,$(PREFIX),' docs/slnode.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/slnode.service

bin/slnode:
	$(BUILD) -o bin/slnode ./cmd/slnode

release:
	go -C scripts/release run . -source '$(CURDIR)' -out '$(or $(OUT),$(CURDIR)/dist)' $(if $(ARCH),-arch $(ARCH)) $(if $(MAINTAINER),-maintainer '$(MAINTAINER)')

release-check:
	scripts/release/check.sh

test-package:
	scripts/release/package_test.sh

test-image:
	scripts/release/image_test.sh

bin/testnet:
	$(BUILD) -o bin/testnet ./testnet/cmd/testnet

testnet: build
	scripts/testnet.sh up

test:
	go test -vet=off -timeout 40m $(PURE) $(STORES)
	@echo "go test -race of all other packages"
	@$(RACE) go test -vet=off $(RACE_FLAG) -timeout 40m -skip '$(HOSTILE)' $(filter-out $(PURE) $(STORES),$(shell go list ./...))
	go -C scripts/release test ./...

race:
	SLNODE_TEST_RACE=1 $(RACE) go test $(RACE_FLAG) -timeout 60m ./testnet/

# They are timed and measured, so they run one after the other and without the race detector.
hostile:
	go test -count=1 -parallel 1 -timeout 20m -run '$(HOSTILE)' ./testnet/

walkthrough: build
	testnet/walkthrough

# They wait for rounds most of the time, so that more of them at once cost little.
test-algorand:
	@test -n "$(SLNODE_TEST_ALGOD_URL)" || { echo "set SLNODE_TEST_ALGOD_URL, _ALGOD_TOKEN, _INDEXER_URL, _INDEXER_TOKEN and _FUNDER"; exit 2; }
	go test -count=1 -parallel 4 -timeout 2h -skip '$(HOSTILE)' ./testnet/

fuzz:
	scripts/fuzz.sh $(or $(FUZZ),60)

bench:
ifdef COMPARE
	go run ./scripts/bench -compare $(COMPARE) -bench '$(or $(value BENCH),.)' -count $(or $(COUNT),6) $(PKG)
else
	go test -run '^$$' -bench . -benchmem ./internal/... ./repo/... ./chainwatch ./p2p ./taxii
	go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./testnet/
endif

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go -C scripts/release vet ./...
	cd scripts/release && "$$(go -C ../.. tool -n staticcheck)" ./...
	@CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go list -deps -f '{{with .Module}}{{.Path}}{{end}}' ./cmd/slnode | sort -u | diff scripts/modules.txt - || \
		{ echo "other modules are linked than scripts/modules.txt says: look at them, then \"make modules\""; exit 1; }
	go run ./scripts/vulncheck

modules:
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go list -deps -f '{{with .Module}}{{.Path}}{{end}}' ./cmd/slnode | sort -u > scripts/modules.txt

mutants:
	nice go run ./scripts/mutants -n $(or $(N),0) -seed $(or $(SEED),1) $(PKG)

clean:
	rm -rf bin dist
