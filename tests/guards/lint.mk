# Style and static analysis: what `make lint` and `make format` do.

C_FILES := $(wildcard fcgi/*.[ch] fcgi/*/*.[ch] tests/unit/*.[ch] tests/race/*.[ch] tests/lib/*.[ch] tests/bench/*.[ch] tests/chaos/*.[ch] \
	tests/fuzz/*.[ch] tests/doubles/*.[ch])
SHELL_FILES = $(shell grep -lIE '^\#!.*\b(ba)?sh\b' -r .ci scripts tests --exclude='*.bats' --exclude='*.bash')
BATS_FILES := $(wildcard tests/*/*.bats)
BATS_HELPERS := $(wildcard tests/*/*.bash)
TIDY := $(patsubst %.c,build/lint/%.tidy,$(filter %.c,$(C_FILES)))
ANALYZED := $(SOURCES:%.c=build/lint/%.analyzed)

lint-format:
	clang-format --dry-run -Werror $(C_FILES)

lint-shell:
	@for file in $(SHELL_FILES); do bash -n "$$file" || exit 1; done
	shellcheck -x $(SHELL_FILES) scripts/completion.bash
	# Its parts, with what they get from each other.
	shellcheck -x -a -e SC2016,SC2119,SC2120 scripts/orchestratorctl scripts/local
	# bats runs each test in a subshell of its own, with what `load` brought from a helper.
	shellcheck -e SC2016,SC2030,SC2031,SC2154 $(BATS_FILES)
	shellcheck -e SC2016,SC2034,SC2154 $(BATS_HELPERS)

lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --error-exitcode=1 --cppcheck-build-dir=build/lint/cppcheck \
		-DVERSION='""' -Ifcgi $(SOURCES)

# One stamp per file, so that only what changed is analysed again.
lint-tidy: $(TIDY)
lint-analyzer: $(ANALYZED)
build/lint/fcgi/base/fault.tidy build/lint/fcgi/base/fault.analyzed: LANGUAGE += -DFAULTS

build/lint/%.tidy: %.c $(wildcard fcgi/*.h fcgi/*/*.h) .clang-tidy
	@mkdir -p $(@D)
	$(call say,TIDY)clang-tidy --quiet $< -- $(LANGUAGE) && touch $@

build/lint/%.analyzed: %.c $(wildcard fcgi/*.h fcgi/*/*.h)
	@mkdir -p $(@D)
	$(call say,CHECK)gcc $(LANGUAGE) -O2 -fanalyzer -Werror -c -o /dev/null $< && touch $@
