/* batch_lock: the rows of the projects of a batch, and the pools that go with them. Writer's
 * thread. */
#include "write/batch_private.h"

#include "base/buf.h"
#include "base/times.h"

#include <stdlib.h>
#include <string.h>

/* The project's row, if it could be locked. */
static const struct store_project *find_row(const struct store_begin *begin, const char *name)
{
    for (size_t i = 0; i < begin->project_count; i++)
        if (strcmp(begin->projects[i].name, name) == 0)
            return &begin->projects[i];
    return NULL;
}

/* A parked client whose request is no longer what it was: another host or the administrator's
 * tool changed it. */
static enum database_status reconcile_one(struct batch *batch, struct project *project,
                                          uint64_t number)
{
    const struct parked *parked = parking_get(&project->lot, number);
    struct lease *lease = pool_lease(project->pool, number);
    struct past_request past;
    enum database_status status;

    if (lease && lease->wait_until != parked->wait_until) {
        answers_number(&batch->answers, project, number, RESULT_REPLACED);
    } else if (lease && lease->state == LEASE_ACTIVE) {
        answers_parked(&batch->answers, project, lease, RESULT_GRANTED);
    } else if (lease && lease->instance == 0) {
        lease->instance = batch->clerk.instance; /* we were taken for dead */
        pool_touch_lease(project->pool, lease);
        pool_due_at(project->pool, lease->wait_until);
    } else if (!lease) {
        status = store_find_ended(batch->store, project->pool, number, &past);
        if (status != DATABASE_OK)
            return status;
        answers_number(&batch->answers, project, number,
                       !past.number || past.state == LEASE_ABANDONED ||
                               past.state == LEASE_TIMED_OUT
                           ? RESULT_SHUTTING_DOWN
                       : past.state == LEASE_SUPERSEDED ? RESULT_SUPERSEDED
                                                        : RESULT_CANCELLED);
    }
    return DATABASE_OK;
}

static enum database_status reconcile(struct batch *batch, struct project *project)
{
    size_t count;
    uint64_t *numbers = project_parked_numbers(project, &count);
    enum database_status status = DATABASE_OK;

    for (size_t i = 0; i < count && status == DATABASE_OK; i++)
        status = reconcile_one(batch, project, numbers[i]);
    free(numbers);
    return status;
}

/* Makes the remembered pool what the database has, under the row lock. */
static enum database_status refresh_pool(struct batch *batch, struct project *project,
                                         const struct store_project *row, int64_t now)
{
    enum database_status status = DATABASE_OK;

    if (project->pool && project->pool->id != row->id)
        answers_no_parked(&batch->answers, project); /* another project of the same name */
    if (project->pool && (project->pool->id != row->id || project->pool->version != row->version))
        project_forget(project);
    if (project->pool) {
        project->pool->now = now;
        return DATABASE_OK;
    }
    project->pool = pool_new(row->id, row->name);
    project->pool->version = row->version;
    project->pool->now = now;
    status = store_load(batch->store, project->pool);
    if (status == DATABASE_OK)
        status = batch_find_others(batch);
    if (status == DATABASE_OK)
        status = reconcile(batch, project);
    return status;
}

static void remove_member(struct batch *batch, size_t at)
{
    batch->members[at]->is_member = false;
    batch->members[at] = batch->members[--batch->member_count];
}

const char **batch_member_names(const struct batch *batch)
{
    const char **names = mem_alloc((batch->member_count + 1) * sizeof(char *));

    for (size_t i = 0; i < batch->member_count; i++)
        names[i] = batch->members[i]->name;
    return names;
}

/* Alone, what is remembered is most likely what the database has: that saves a round trip. The
 * commit does nothing should it be otherwise; then nothing is remembered any more. */
static bool can_assume(const struct batch *batch)
{
    bool can = batch->clerk.other_count == 0 &&
               database_clock_is_close(&batch->clock, times_monotonic_us());

    for (size_t i = 0; i < batch->member_count && can; i++)
        can = batch->members[i]->pool != NULL;
    return can;
}

/* A batch is never before the last one, unless the database's clock was set back by more than we
 * may be wrong. */
static int64_t tell_time(struct batch *batch, int64_t now)
{
    if (now > batch->now || now + DATABASE_CLOCK_WIDTH_MAX < batch->now)
        batch->now = now;
    return batch->now;
}

static void assume(struct batch *batch)
{
    int64_t now = tell_time(batch, database_clock_at(&batch->clock, times_monotonic_us()));

    for (size_t i = 0; i < batch->member_count; i++)
        batch->members[i]->pool->now = now;
}

/* For a member whose row could not be locked. */
static void dismiss(struct batch *batch, size_t at, bool may_be_busy)
{
    struct project *project = batch->members[at];

    if (may_be_busy) { /* it is another host's turn */
        command_list_put_back(&batch->pending, &project->commands);
        project->deadline_ms = times_monotonic_ms() + 2;
        projects_note(&batch->projects, project);
    } else {
        answers_no_project(&batch->answers, project);
        project_forget(project);
        project->deadline_ms = INT64_MAX;
    }
    remove_member(batch, at);
}

static enum database_status lock_members(struct batch *batch)
{
    const char **names = batch_member_names(batch);
    struct store_begin begin;
    enum database_status status;
    int64_t now = 0;

    status = store_begin(batch->store, names, batch->member_count, &begin);
    free(names);
    database_clock_take(&batch->clock, &begin.now);
    if (begin.now.said)
        now = tell_time(batch, begin.now.said);
    for (size_t i = batch->member_count; i-- > 0 && status == DATABASE_OK;) {
        const struct store_project *row = find_row(&begin, batch->members[i]->name);

        if (row)
            status = refresh_pool(batch, batch->members[i], row, now);
        else
            dismiss(batch, i, begin.busy_count > 0);
    }
    store_begin_free(&begin);
    return status;
}

enum database_status batch_prepare_members(struct batch *batch)
{
    if (!can_assume(batch))
        return lock_members(batch);
    assume(batch);
    return DATABASE_OK;
}
