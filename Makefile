# stack-orchestrator. `make help` lists what there is.

VERSION := 0.1.0

# Sets beside the plain one: SAN=address (with UBSan), SAN=thread, SAN=coverage, or SAN=fuzz (clang's
# libFuzzer with ASan and UBSan; its targets only); FAULTS=1, with fault points for tests.
SAN ?=
FAULTS ?=
BUILD := build$(if $(SAN),/$(SAN))$(if $(FAULTS),/faults)
VAR ?= var
PORT ?= 8443
# Option file of an administrator account on an existing server; empty: a private server.
DATABASE_CNF ?=
CORES := $(shell nproc)

export SAN BUILD DATABASE_CNF

# How the program, its units and the programs of other tests are built; how the lint is run.
include fcgi/build.mk $(wildcard tests/*/*.mk)

# After `sudo make` a plain user can't write there.
ifneq ($(filter-out help run stop,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell [ ! -d build ] || [ -w build ] || echo closed),)
owner := $(shell stat -c %U build)
$(error build/ belongs to $(owner): run this as $(owner), or remove it as $(owner) (rm -r build))
endif
endif

# Targets are names of tasks, unless they have a dot or a slash.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(wildcard Makefile fcgi/*.mk tests/*/*.mk)) FORCE
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

all: $(PROGRAM) ## build the program into build/ (SAN=address, SAN=thread: with sanitizers)

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1	\2/p' Makefile | expand -t 16

# --- Run ---

setup: ## install what is missing, with apt
	@scripts/setup

run: ## start a private instance under VAR= on PORT=, with a demo project; can be run again
	@scripts/local check --var '$(VAR)' --port '$(PORT)'
	@scripts/setup run
	@$(MAKE) --no-print-directory all
	@scripts/local start --var '$(VAR)' --port '$(PORT)' $(if $(SAN),--san $(SAN)) \
		$(if $(DATABASE_CNF),--database-cnf '$(DATABASE_CNF)')
	@scripts/demo --var '$(VAR)'

stop: ## end what `make run` started
	@scripts/local stop --var '$(VAR)'

# --- Install ---

install: all ## install below PREFIX= (/usr/local) and /etc, with DESTDIR= before it all
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITDIR='$(UNITDIR)' scripts/install

uninstall: ## remove what `make install` put there; settings, keys and the database stay
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITDIR='$(UNITDIR)' scripts/install --remove

deb: ## a Debian package in build/
	@scripts/setup deb
	@scripts/deb '$(VERSION)'

# --- Test. The last line of each run is `N passed, N failed`. ---

# Suites are directories of tests/; tests/run says what may stand in one.
SUITES := guards unit ctl api attack openapi ci race model chaos fuzz
# Left out of `make test`, because they take minutes.
LONG_SUITES := e2e package tools browser cluster sanitizers floods bare

test: ## everything: lint, guards, unit, API, CI, race, model, fault and fuzz tests
	@scripts/setup
	@$(MAKE) --no-print-directory --jobs=$(CORES) all unit-tests faulty
	@$(MAKE) --no-print-directory --jobs=$(CORES) SAN=fuzz fuzz-targets
	@tests/run $(SUITES)

test-all: ## the same, and what takes minutes: the package in a clean Debian, linters from npm, clusters
	@scripts/setup browser
	@scripts/setup package
	@scripts/setup cluster
	@scripts/setup analysis
	@$(MAKE) --no-print-directory --jobs=$(CORES) all unit-tests faulty
	@$(MAKE) --no-print-directory --jobs=$(CORES) SAN=fuzz fuzz-targets
	@tests/run $(SUITES) $(LONG_SUITES)

bare: ## make run, make test, make stop, and make deb, on fresh Debians; ONLY=trixie-root picks one; takes an hour or two
	@scripts/setup package
	@tests/run bare

package: all ## the package, installed, upgraded and purged in a clean Debian
	@scripts/setup package
	@tests/run package

check: all unit-tests faulty ## the quick part, without servers
	@tests/run guards unit

guards: all faulty ## house rules and lint
	@tests/run guards

unit: unit-tests ## pure modules
	@tests/run unit

api: all ## the API, through nginx and a real database
	@tests/run api

attack: all ## hostile callers, through the real nginx
	@tests/run attack

floods: all ## attacks by mass and slowness, and how honest callers fare meanwhile; takes minutes
	@tests/run floods

openapi: all ## nginx/openapi.json: each example is sent, each answer judged
	@tests/run openapi

ctl: all ## scripts/orchestratorctl, scripts/local and nginx
	@tests/run ctl

browser: all ## the dashboard, in headless Chromium
	@tests/run browser

chaos: all faulty ## servers killed, stopped, cut off, starved under callers; CHAOS_SECONDS=300 of it
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-300} tests/run chaos

soak: all faulty ## the same for SOAK_SECONDS=1800; the figures go to tests/chaos/SOAK.md
	@SOAK_SECONDS=$${SOAK_SECONDS:-1800} VERBOSE=1 ONLY=chaos_test tests/run chaos

cluster: all ## several hosts on Galera and on group replication, machines killed and cut off; CLUSTER_SECONDS=60
	@scripts/setup cluster
	@JOBS=1 tests/run cluster

race: all ## many callers, few stacks; RACE_SECONDS=600 for longer
	@tests/run race

model: all ## 100,000 random commands against a model; MODEL_COMMANDS=, MODEL_PROCESSES=, SEED=
	@MODEL_COMMANDS=$${MODEL_COMMANDS:-100000} MODEL_PROCESSES=$${MODEL_PROCESSES:-4} tests/run model

coverage: ## which lines of fcgi/ the suites reach, and which not; COVERAGE_SUITES='unit api' for fewer
	@scripts/setup analysis
	@$(MAKE) --no-print-directory SAN=coverage all unit-tests
	@$(MAKE) --no-print-directory SAN=coverage faulty
	@tests/coverage.sh

sanitizers: ## units, API and race under ASan+UBSan and under TSan; units under valgrind
	@scripts/setup analysis
	@JOBS=1 tests/run sanitizers

fuzz: ## one hour of fuzzing; FUZZ_SECONDS=, FUZZ_JOBS=, FUZZ_TARGETS='json api', ANSWERS_RUNS=, KEYS_RUNS=, SEED=
	@$(MAKE) --no-print-directory SAN=fuzz fuzz-targets
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} FUZZ_JOBS=$${FUZZ_JOBS:-$$(nproc)} \
		ANSWERS_RUNS=$${ANSWERS_RUNS:-500} KEYS_RUNS=$${KEYS_RUNS:-300} tests/run fuzz

# --- Bench ---

# TRACE=file (or REPO=dir UNITS='services/*') K=stacks LOAD=real|30|60|90 REFRESH='hourly nightly' SECONDS=1
bench-affinity: all ## replay a CI history: how many units each job deploys; see tests/bench/affinity.py --help
	@tests/bench/affinity.py $(if $(REPO),--repo '$(REPO)' --units '$(UNITS)',--trace '$(TRACE)') \
		$(if $(K),--stacks '$(K)') $(if $(LOAD),--load '$(LOAD)') $(REFRESH:%=--refresh %) $(if $(SECONDS),--seconds)

bench: ## everything measured, in turns, into tests/bench/RESULTS.md; BENCH_QUICK=1 for a few minutes
	@scripts/setup bench
	@$(MAKE) --no-print-directory all $(BENCH_TOOLS)
	@tests/bench/budget.py
	@tests/bench/all.py

bench-budget: all ## counts what one lease costs against tests/bench/BUDGET.md
	@scripts/setup bench
	@tests/bench/budget.py

bench-leases: all $(BENCH_TOOLS) ## leases/s and their times, beside nginx alone, the database alone, and other stores
	@tests/bench/all.py leases

# --- Lint; tests/guards/lint.mk ---

lint: lint-format lint-shell lint-cppcheck lint-tidy lint-analyzer ## style and static analysis

format: ## format the C files as `make lint` wants them
	clang-format -i $(C_FILES)

clean: ## remove build/
	rm -rf build
