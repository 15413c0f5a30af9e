# What the bench drives: load generators, one program per store, and a double of the program.
BENCH := $(BUILD)/tests/bench
HTTPS_TOOLS := $(BENCH)/load $(BENCH)/park
PEERS := $(BENCH)/raw $(BENCH)/postgres $(BENCH)/redis $(BENCH)/etcd
BENCH_TOOLS := $(HTTPS_TOOLS) $(PEERS) $(BENCH)/constant $(BENCH)/choices
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
$(BENCH)/choices: $(filter $(BUILD)/fcgi/rules/%.o $(BUILD)/fcgi/base/%.o,$(PARTS))
$(BENCH)/choices: TOOL_LIBS = $(YAJL_LIBS) -lm

-include $(wildcard $(BENCH)/*.d)
