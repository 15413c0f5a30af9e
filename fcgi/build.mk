# How the program and the unit tests are built.

PROGRAM := $(BUILD)/stack-orchestrator
SOURCES := $(wildcard fcgi/*.c fcgi/*/*.c)
OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(if $(FAULTS),$(SOURCES),$(filter-out fcgi/base/fault.c,$(SOURCES))))
# What unit tests link with: everything but main().
PARTS := $(filter-out %/main.o,$(OBJECTS))
UNIT_SOURCES := $(wildcard tests/unit/*_test.c)
UNIT_TESTS := $(UNIT_SOURCES:%.c=$(BUILD)/%)

# --- Flags, for each SAN. Evaluated on first use (and then kept), because `make setup` may run first. ---

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
	-Wundef -Wvla -Wpointer-arith -Wwrite-strings -Werror=switch # a new verb or result needs its rows
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

# --- Rules ---

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

-include $(OBJECTS:.o=.d) $(UNIT_TESTS:=.d)
