# Everything is built with one profile and for the whole workspace at a time, so that RocksDB is
# compiled once for the demo, the tests, the benches and the daemon that is installed: cargo
# compiles a dependency again when a selection of packages wants other features of what it is built
# with.

CARGO ?= cargo
SETUP := sh tests/setup/install.sh
BUILD = $(CARGO) build --release --locked $(SELECTION)
SELECTION = --workspace
# `cargo run` would select one package and compile its dependencies again with fewer features; so
# what was built is run from where cargo says that it lies.
TARGET_DIR = $$($(CARGO) metadata --format-version 1 --no-deps --offline \
	| sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
PROGRAMS = "$(TARGET_DIR)/release"

.PHONY: all build deb release reproducible demo test counts chart fixture pictures faults fuzz bench lint deny docs setup help

all: build

help:
	@echo "make demo         three nodes, a primary that is down, a killed leader: nothing is lost"
	@echo "make demo KEEP=1  the same, and the cluster stays up to be tried by hand"
	@echo "make test         the whole test suite"
	@echo "make counts       records anew how many instructions pure code takes, which the tests compare"
	@echo "make chart        what Helm makes of deploy/helm; it fetches Helm, packed for Python by a third party"
	@echo "make faults       everything that happens to machines, while mail flows (as root); SEED=n, MINUTES=m,"
	@echo "                  NODES=n, or FAULTS='--only power-cut-all': see docs/reliability.md"
	@echo "make fuzz         invents input for one parser: TARGET=a folder of fuzz/corpus, MINUTES=m; needs a"
	@echo "                  nightly compiler"
	@echo "make bench        accept rate, latency, drain and CPU beside Postfix and Exim"
	@echo "make lint         formatting, clippy, licences and sources of dependencies, documentation"
	@echo "make pictures     draws the pictures of the web page in docs/pictures anew"
	@echo "make build        the programs, in the release directory of cargo's target directory"
	@echo "make deb          Debian packages of both programs, in the folder debian of cargo's target directory"
	@echo "make release      the same packages, built so that everybody gets the same octets of the same commit"
	@echo "make reproducible builds twice, at different places, and compares; PROGRAM=layover: only the command line"
	@echo "make setup        what the build needs (the commands above do it themselves)"

setup:
	@$(SETUP) build

build: setup
	$(BUILD)

# Of what was built for everything else: the programs in the packages are those that were tested.
deb: build
	@$(SETUP) deb
	@sh deploy/packages.sh $(PACKED)

PACKED = node ctl

# The same, but so that everybody who builds this commit gets the same octets.
release:
	@sh deploy/release.sh

# PROGRAM=layover is the quick one: no RocksDB.
reproducible:
	@sh deploy/reproducible.sh $(if $(filter layover,$(PROGRAM)),PACKED=ctl SELECTION='--package ctl')

demo: build
	@$(PROGRAMS)/demo $(if $(filter-out 0,$(KEEP)),--keep)

# Together with the tests, because alone the programs would be compiled with fewer features of what
# they are built with, and then once more.
test:
	@$(SETUP) build test faults
	$(BUILD) --bins --tests
	$(CARGO) nextest run --release --locked --workspace

# One at a time, as they write one file.
counts:
	@$(SETUP) build test
	$(BUILD) --bins --tests
	LAYOVER_RECORD_COUNTS=1 $(CARGO) nextest run --release --locked --workspace -j 1 \
		-E 'test(are_those_recorded)'

chart:
	@$(SETUP) build test faults chart
	$(BUILD) --bins --tests
	$(CARGO) nextest run --release --locked --workspace -E 'test(containers::)'

fixture: build
	@$(PROGRAMS)/fixture $(FORMAT)

# A test draws them, of a cluster to which something happens; then they are made smaller.
pictures:
	@$(SETUP) build test pictures
	$(BUILD) --bins --tests
	LAYOVER_PICTURES="$(CURDIR)/docs/pictures" $(CARGO) nextest run --release --locked --workspace \
		-E 'test(every_page_can_be_read)'
	pngquant --force --ext .png --speed 1 64 docs/pictures/*.png

faults:
	@$(SETUP) build faults
	$(BUILD)
	@$(PROGRAMS)/faults $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(NODES),--nodes $(NODES)) $(FAULTS)

# Without a sanitizer: there is no unsafe code of ours for it to watch. Input that leads anywhere new is
# kept beside what is built; what breaks something is written to fuzz/artifacts.
fuzz:
	@[ -f "fuzz/fuzz_targets/$(TARGET).rs" ] || { echo "TARGET must be one of:" $$(ls fuzz/corpus) >&2; exit 1; }
	@$(SETUP) fuzz
	@mkdir -p "$(TARGET_DIR)/fuzz/seen/$(TARGET)"
	$(CARGO) +nightly fuzz run --sanitizer none --target-dir "$(TARGET_DIR)/fuzz" $(TARGET) \
		"$(TARGET_DIR)/fuzz/seen/$(TARGET)" fuzz/corpus/$(TARGET) -- -max_len=2000 -timeout=20 \
		-max_total_time=$$(($(or $(MINUTES),5) * 60))

bench:
	@$(SETUP) build bench
	$(BUILD)
	@$(PROGRAMS)/bench $(BENCH)

lint:
	@$(SETUP) build lint
	$(CARGO) fmt --all --check
	$(MAKE) --no-print-directory deny
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	$(MAKE) --no-print-directory docs

deny:
	@$(SETUP) lint
	$(CARGO) deny --locked check bans licenses sources

docs:
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --release --locked --workspace --no-deps --document-private-items
