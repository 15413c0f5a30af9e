/* figures: see figures.h. No shared state; any thread. */
#include "read/figures.h"

void figures_free(struct figures *figures)
{
    sample_free(&figures->waits);
    sample_free(&figures->holds);
}

void figures_add(struct figures *figures, int state, int64_t wait_us, int64_t hold_us,
                 bool same_content)
{
    if (figures->requests == FIGURES_MAX) {
        figures->is_cut = true;
        return;
    }
    figures->requests++;
    if (state >= 0 && state <= LEASE_SUPERSEDED)
        figures->states[state]++;
    if (hold_us >= 0) {
        figures->granted++;
        figures->same_content += same_content;
        sample_add(&figures->holds, hold_us);
    }
    if (wait_us >= 0)
        sample_add(&figures->waits, wait_us);
}

static void put_sample(struct json_writer *json, const char *name, struct sample *sample)
{
    struct spread spread = sample_spread(sample);

    json_open_object(json, name);
    if (sample->count) {
        json_put_number(json, "mean", spread.mean_s, 3);
        json_put_number(json, "p50", spread.p50_s, 3);
        json_put_number(json, "p95", spread.p95_s, 3);
    } else {
        json_put_null(json, "mean");
        json_put_null(json, "p50");
        json_put_null(json, "p95");
    }
    json_close_object(json);
}

void figures_put(struct figures *figures, struct json_writer *json, const char *name)
{
    json_open_object(json, name);
    json_put_bool(json, "complete", !figures->is_cut);
    json_put_integer(json, "requests", (int64_t)figures->requests);
    json_put_integer(json, "granted", (int64_t)figures->granted);
    for (enum lease_state state = LEASE_RELEASED; state <= LEASE_SUPERSEDED; state++)
        json_put_integer(json, words_lease_state(state), (int64_t)figures->states[state]);
    json_put_integer(json, "sameContentGrants", (int64_t)figures->same_content);
    put_sample(json, "waitSeconds", &figures->waits);
    put_sample(json, "holdSeconds", &figures->holds);
    json_close_object(json);
}
