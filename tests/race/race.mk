# Two programs in one process, on a real database.
RACE_TOOLS := $(BUILD)/tests/race/follow
$(RACE_TOOLS): %: %.o $(PARTS)
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CMOCKA_LIBS) $(LIBRARIES)

unit-tests: $(RACE_TOOLS)

-include $(RACE_TOOLS:=.d)
