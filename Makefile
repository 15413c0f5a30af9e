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

PROGRAM := $(BUILD)/stack-orchestrator
SOURCES := $(wildcard fcgi/*.c fcgi/*/*.c)
OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(if $(FAULTS),$(SOURCES),$(filter-out fcgi/base/fault.c,$(SOURCES))))
# What unit tests link with: everything but main().
PARTS := $(filter-out %/main.o,$(OBJECTS))
UNIT_SOURCES := $(wildcard tests/unit/*_test.c)
UNIT_TESTS := $(UNIT_SOURCES:%.c=$(BUILD)/%)

# --- Flags. Evaluated on first use (and then kept), because `make setup` may run first. ---

once = $(eval $(1) := $(2))$($(1))
try = $(shell $(CC) -Werror $(1) -x c -c /dev/null -o /dev/null 2>/dev/null && echo "$(1)")
pkg = $(shell pkg-config $(1) 2>/dev/null)

DATABASE_CFLAGS = $(call once,DATABASE_CFLAGS,$(or $(call pkg,--cflags libmariadb),$(call \
	pkg,--cflags mysqlclient),$(shell { mariadb_config --cflags || mysql_config --cflags; } 2>/dev/null)))
DATABASE_LIBS = $(call once,DATABASE_LIBS,$(or $(call pkg,--libs libmariadb),$(call \
	pkg,--libs mysqlclient),$(shell { mariadb_config --libs || mysql_config --libs; } 2>/dev/null)))
YAJL_LIBS = $(call once,YAJL_LIBS,$(or $(call pkg,--libs yajl),-lyajl))
CMOCKA_LIBS = $(call once,CMOCKA_LIBS,$(or $(call pkg,--libs cmocka),-lcmocka))

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wconversion \
	-Wundef -Wvla -Wpointer-arith -Wwrite-strings
ifneq ($(filter true 1,$(CI) $(WERROR)),)
WARNINGS += -Werror
endif

LANGUAGE = -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -Ifcgi $(if $(FAULTS),-DFAULTS) $(subst -I,-isystem,$(DATABASE_CFLAGS))
PROTECTION = $(call once,PROTECTION,-fstack-protector-strong $(call try,-fstack-clash-protection) $(call \
	try,-fcf-protection) $(call try,-mbranch-protection=standard))
ifeq ($(SAN),)
# Compilers before gcc 12 know no level 3.
FORTIFY = $(call once,FORTIFY,$(shell [ "$$($(CC) -dumpversion | cut -d. -f1)" -ge 12 ] && echo 3 || echo 2))
HARDENING = -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(FORTIFY) $(PROTECTION)
LINK := -Wl,-z,relro,-z,now,-z,noexecstack
else ifeq ($(SAN),address)
HARDENING = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LINK := -fsanitize=address,undefined
else ifeq ($(SAN),thread)
HARDENING = -O1 -fno-omit-frame-pointer -fsanitize=thread
LINK := -fsanitize=thread
else ifeq ($(SAN),coverage)
HARDENING = -O1 --coverage -fprofile-update=atomic
LINK := --coverage
else ifeq ($(SAN),fuzz)
CC := clang
HARDENING = -O2 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LINK := -fsanitize=fuzzer,address,undefined
else
$(error SAN is address, thread, coverage, fuzz or empty)
endif

CFLAGS ?= -g
ALL_CFLAGS = $(LANGUAGE) $(WARNINGS) $(HARDENING) -pthread -fPIE $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(LINK) -pthread -pie $(LDFLAGS)
LIBRARIES = -lfcgi $(DATABASE_LIBS) $(YAJL_LIBS) -lm $(LDLIBS)

export SAN BUILD DATABASE_CNF

# Targets are names of tasks, unless they have a dot or a slash.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile) FORCE
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

all: $(PROGRAM) ## build the program into build/ (SAN=address, SAN=thread: with sanitizers)

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1	\2/p' Makefile | expand -t 16

# --- Build ---

# A change of flags rebuilds everything.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LIBRARIES))' | cmp -s - $@ || \
	 printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LIBRARIES))' >$@

# V=1 shows the whole commands.
say = $(if $(V),,@printf '%-6s %s\n' $(1) $@;)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(PROGRAM): $(OBJECTS)
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $(OBJECTS) $(LIBRARIES)

$(BUILD)/tests/unit/%_test: $(BUILD)/tests/unit/%_test.o $(PARTS)
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMOCKA_LIBS) $(LIBRARIES)

unit-tests: $(UNIT_TESTS)
.SECONDARY: $(UNIT_TESTS:=.o)

# Made with SAN=fuzz.
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*.c))
# What speaks with the outside, and what stands in for it.
OUTSIDE := http/gateway write/parking read/reader% store/% \
	database/connection database/database database/database_host database/session database/server \
	write/writer worker
DOUBLES := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/doubles/*.c))
WRAPPED := times_monotonic_ms times_monotonic_us poll getrandom

INSIDE := $(DOUBLES) $(filter-out $(OUTSIDE:%=$(BUILD)/fcgi/%.o),$(PARTS))

$(filter-out %/api,$(FUZZERS)): $(PARTS)
$(BUILD)/tests/fuzz/api: $(INSIDE)
$(BUILD)/tests/unit/day_test: %: %.o $(BUILD)/tests/fuzz/api.o $(INSIDE)
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)
$(BUILD)/tests/fuzz/api $(BUILD)/tests/unit/day_test: private LDLIBS += $(CMOCKA_LIBS) $(WRAPPED:%=-Wl,--wrap=%)
# libfcgi as an archive: what the linker wraps isn't wrapped in shared libraries.
$(BUILD)/tests/fuzz/fastcgi: private LDFLAGS += \
	-Wl,--wrap=read,--whole-archive -l:libfcgi.a -Wl,--no-whole-archive
$(FUZZERS): %: %.o
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)

fuzz-targets: $(FUZZERS)

-include $(OBJECTS:.o=.d) $(UNIT_TESTS:=.d) $(FUZZERS:=.d) $(DOUBLES:.o=.d)

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

bare: ## make run, make test and make stop on fresh Debians; ONLY=trixie-root picks one; takes an hour or two
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

# The program with fault points, and what stands between its neighbours and it.
CHAOS_TOOLS := $(BUILD)/tests/chaos/proxy
$(CHAOS_TOOLS): %: %.o
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^

-include $(CHAOS_TOOLS:=.d)

faulty: $(CHAOS_TOOLS)
	@$(MAKE) --no-print-directory FAULTS=1 all

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

# TRACE=file (or REPO=dir UNITS='services/*') K=stacks LOAD=real|30|60|90 REFRESH=1
bench-affinity: all ## replay a CI history: how many units each job deploys; see tests/bench/affinity.py --help
	@tests/bench/affinity.py $(if $(REPO),--repo '$(REPO)' --units '$(UNITS)',--trace '$(TRACE)') \
		$(if $(K),--stacks '$(K)') $(if $(LOAD),--load '$(LOAD)') $(if $(REFRESH),--refresh)

# What the bench drives: load generators, one program a store, and a double of the program.
BENCH := $(BUILD)/tests/bench
HTTPS_TOOLS := $(BENCH)/load $(BENCH)/park
PEERS := $(BENCH)/raw $(BENCH)/postgres $(BENCH)/redis $(BENCH)/etcd
BENCH_TOOLS := $(HTTPS_TOOLS) $(PEERS) $(BENCH)/constant
$(BENCH_TOOLS): %: %.o $(BENCH)/tool.o
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(TOOL_LIBS)

$(HTTPS_TOOLS): $(BENCH)/https.o $(BENCH)/samples.o
$(PEERS): $(BENCH)/peer.o $(BENCH)/samples.o
$(BENCH)/etcd: $(BENCH)/grpc.o
$(HTTPS_TOOLS): TOOL_LIBS = -lssl -lcrypto
$(BENCH)/raw: TOOL_LIBS = $(DATABASE_LIBS)
$(BENCH)/postgres: TOOL_LIBS = -lpq
$(BENCH)/redis: TOOL_LIBS = -lhiredis
$(BENCH)/etcd: TOOL_LIBS = -lnghttp2
$(BENCH)/constant: TOOL_LIBS = -lfcgi

-include $(wildcard $(BENCH)/*.d)

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

# --- Lint ---

C_FILES := $(wildcard fcgi/*.[ch] fcgi/*/*.[ch] tests/unit/*.[ch] tests/race/*.[ch] tests/lib/*.[ch] tests/bench/*.[ch] tests/chaos/*.[ch] \
	tests/fuzz/*.[ch] tests/doubles/*.[ch])
SHELL_FILES = $(shell grep -lIE '^\#!.*\b(ba)?sh\b' -r .ci scripts tests --exclude='*.bats' --exclude='*.bash')
BATS_FILES := $(wildcard tests/*/*.bats)
BATS_HELPERS := $(wildcard tests/*/*.bash)
TIDY := $(patsubst %.c,build/lint/%.tidy,$(filter %.c,$(C_FILES)))
ANALYZED := $(SOURCES:%.c=build/lint/%.analyzed)

lint: lint-format lint-shell lint-cppcheck lint-tidy lint-analyzer ## style and static analysis

lint-format:
	clang-format --dry-run -Werror $(C_FILES)

format: ## format the C files as lint-format wants them
	clang-format -i $(C_FILES)

lint-shell:
	@for file in $(SHELL_FILES); do bash -n "$$file" || exit 1; done
	shellcheck -x $(SHELL_FILES) scripts/completion.bash
	# Its parts, with what they get from each other.
	shellcheck -x -a -e SC2016,SC2119,SC2120 scripts/orchestratorctl
	# bats runs each test in a subshell of its own, with what `load` brought from a helper.
	shellcheck -e SC2016,SC2030,SC2031,SC2154 $(BATS_FILES)
	shellcheck -e SC2016,SC2034,SC2154 $(BATS_HELPERS)

lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --error-exitcode=1 --cppcheck-build-dir=build/lint/cppcheck \
		-DVERSION='""' -Ifcgi $(SOURCES)

# One stamp a file, so that only what changed is analysed again.
lint-tidy: $(TIDY)
lint-analyzer: $(ANALYZED)
build/lint/fcgi/base/fault.tidy build/lint/fcgi/base/fault.analyzed: LANGUAGE += -DFAULTS

build/lint/%.tidy: %.c $(wildcard fcgi/*.h fcgi/*/*.h) .clang-tidy
	@mkdir -p $(@D)
	$(call say,TIDY)clang-tidy --quiet $< -- $(LANGUAGE) && touch $@

build/lint/%.analyzed: %.c $(wildcard fcgi/*.h fcgi/*/*.h)
	@mkdir -p $(@D)
	$(call say,CHECK)gcc $(LANGUAGE) -O2 -fanalyzer -Werror -c -o /dev/null $< && touch $@

clean: ## remove build/
	rm -rf build
