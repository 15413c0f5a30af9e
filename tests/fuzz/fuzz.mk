# The fuzzers, and the program in one process with doubles of what speaks with the outside.

# Made with SAN=fuzz.
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*.c))
# What speaks with the outside, and what stands in for it.
OUTSIDE := http/gateway http/call write/parking read/reader% store/% \
	database/connection database/database database/database_host database/session database/server \
	write/writer write/purger worker
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

-include $(FUZZERS:=.d) $(DOUBLES:.o=.d)
