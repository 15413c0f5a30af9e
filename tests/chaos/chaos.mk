# The program with fault points, and what stands between its neighbours and it.
CHAOS_TOOLS := $(BUILD)/tests/chaos/proxy
$(CHAOS_TOOLS): %: %.o
	$(call say,LINK)$(CC) $(ALL_LDFLAGS) -o $@ $^

-include $(CHAOS_TOOLS:=.d)

faulty: $(CHAOS_TOOLS)
	@$(MAKE) --no-print-directory FAULTS=1 all
