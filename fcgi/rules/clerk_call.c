/* clerk_call: see clerk_call.h. */
#include "rules/clerk_call.h"

#include "base/times.h"

void clerk_call_wait(const struct pool *pool, struct lease *lease, struct command_request *request)
{
    uint32_t wait_s = request->wait_s < 0 ? pool->wait_s : (uint32_t)request->wait_s;
    int64_t wait_until = pool->now + wait_s * TIMES_SECOND;

    lease->call_no = wait_until != lease->call_no ? wait_until : wait_until + 1;
    lease->wait_until = wait_until;
    request->call_no = lease->call_no;
}

void clerk_call_note_heard(struct lease *lease)
{
    lease->call_no++;
}
