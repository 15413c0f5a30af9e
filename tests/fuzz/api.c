/*
 * api: a day in the life of two hosts, as the input tells it. Everything from a request's fields to
 * its answer is the program's own (api, batch, clerk, match, pool, delivery, render); the database,
 * the connections and the clock are doubles that fail when the input says so.
 *
 * A line is one event:
 *     c POST /requestStack #KEY {"branch":"main"}   a caller: role (c v a n x), method, path with
 *                    query, Idempotency-Key if there is one, body; $N stands for stack N's leaseId
 *     .              the writer of the host that we are at runs its batch
 *     @N             go to host N        ~    that host's program is killed and started again
 *     +N             N seconds pass      -N   the Nth caller hangs up
 *     *              the next answer reaches nobody
 *     !N             the Nth trouble of world.h          ?N   N attempts to connect fail
 *     =              somebody changes the project's row      x    it is deleted
 *
 * What must hold: a caller is answered once, in one of the documented ways; a grant is in
 * the database before it is told; no stack is lent twice, and fences rise; a grant that nobody was
 * told of goes back, one that somebody was told of doesn't; nobody waits whom nobody answers; and
 * in the end no lease is left.
 */
#include "fuzz.h"

#include "../doubles/world.h"
#include "../unit/check_pool.h"

#include "api/api.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "write/batch.h"

#define CALLERS_MAX 60
#define TOLD_MAX    64
#define STACKS_SEEN 64

struct host {
    struct office *office;
    struct command_list inbox;
    bool is_ready;
    int64_t reconnect_at_us;
};

enum caller_state { CALLER_NONE, CALLER_WAITS, CALLER_ANSWERED, CALLER_GONE };

struct caller {
    enum caller_state state;
    bool is_request;
    unsigned host;
};

struct told {
    uint8_t lease_id[LEASE_ID_SIZE];
    int64_t fence;
    bool delivered;
    bool guessed; /* a caller used the leaseId, whether it was told or not */
};

static struct day {
    struct host hosts[WORLD_HOSTS];
    struct caller callers[CALLERS_MAX + 1]; /* from 1 */
    int caller_count;
    struct told told[TOLD_MAX];
    size_t told_count;
    bool may_be_untold; /* a program was killed before it could take a grant back */
    struct {
        uint64_t fence;
        uint8_t lease_id[LEASE_ID_SIZE];
    } seen[STACKS_SEEN];
} day;

/* Answers */

static const struct lease *find_lease(const uint8_t *lease_id)
{
    const struct lease *lease;

    for (size_t at = 0; (lease = map_next(&world.rows->leases, &at)) != NULL;)
        if (lease->state == LEASE_ACTIVE && memcmp(lease->lease_id, lease_id, LEASE_ID_SIZE) == 0)
            return lease;
    return NULL;
}

static bool is_history(const uint8_t *lease_id)
{
    for (size_t i = 0; i < world.history_count; i++)
        if (memcmp(world.history[i].lease_id, lease_id, LEASE_ID_SIZE) == 0)
            return true;
    return false;
}

static int digit(char text)
{
    return text <= '9' ? text - '0' : text - 'a' + 10;
}

static void remember(const struct told *told)
{
    if (day.told_count < TOLD_MAX)
        day.told[day.told_count++] = *told;
    else
        day.may_be_untold = true;
}

static void check_grant(const struct json_value *answer, bool delivered)
{
    const struct json_value *text = json_member(answer, "leaseId");
    const struct json_value *fence = json_member(answer, "fence");
    struct told told = {.delivered = delivered};
    const struct lease *lease;
    char name[128];

    check(text && text->length == (size_t)2 * LEASE_ID_SIZE);
    check(fence && fence->type == JSON_INTEGER && fence->integer > 0);
    for (size_t i = 0; i < LEASE_ID_SIZE; i++)
        told.lease_id[i] =
            (uint8_t)(digit(text->string[2 * i]) << 4 | digit(text->string[2 * i + 1]));
    told.fence = fence->integer;
    lease = find_lease(told.lease_id);
    check(lease || is_history(told.lease_id) || world.is_deleted); /* durable before it is told */
    if (lease) {
        snprintf(name, sizeof name, "%s%u", world.rows->prefix, lease->stack->number);
        check(strcmp(json_member(answer, "stackName")->string, name) == 0);
        check((int64_t)lease->fence == told.fence);
    }
    for (size_t i = 0; i < day.told_count; i++)
        if (memcmp(day.told[i].lease_id, told.lease_id, LEASE_ID_SIZE) == 0)
            check(day.told[i].fence == told.fence);
    remember(&told);
}

static void check_answer(const struct buf *headers, const struct buf *body, bool is_request,
                         bool delivered)
{
    static const char *const statuses[] = {"200", "400", "401", "403", "404", "405",
                                           "409", "410", "413", "422", "503"};
    struct json_document *document;
    const struct json_value *error;
    char why[200];
    char length[64];
    size_t known = 0;

    check(headers->len > 12 && strncmp(headers->data, "Status: ", 8) == 0);
    while (known < sizeof statuses / sizeof statuses[0] &&
           strncmp(headers->data + 8, statuses[known], 3) != 0)
        known++;
    check(known < sizeof statuses / sizeof statuses[0]);
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", body->len);
    check(strstr(headers->data, length) &&
          strcmp(headers->data + headers->len - 4, "\r\n\r\n") == 0);
    check(known < 10 || strstr(headers->data, "\r\nRetry-After: "));
    if (strstr(headers->data, "\r\nContent-Type: text/plain"))
        return;
    document = json_parse(body->data, body->len, why, sizeof why);
    check(document && json_root(document)->type == JSON_OBJECT);
    error = json_member(json_root(document), "error");
    check(!error == !known);
    check(!error || (json_member(error, "code") && json_member(error, "message")));
    if (is_request && !known)
        check_grant(json_root(document), delivered);
    else
        check(!strstr(body->data, "\"leaseId\":"));
    json_free(document);
}

static struct caller *waiting_caller(struct client client)
{
    struct caller *caller;

    check(client.fd > 0 && client.fd <= day.caller_count);
    caller = &day.callers[client.fd];
    check(caller->state == CALLER_WAITS); /* once only */
    return caller;
}

static void on_answered(struct client client, const struct buf *headers, const struct buf *body,
                        bool delivered)
{
    struct caller *caller = waiting_caller(client);

    caller->state = CALLER_ANSWERED;
    check_answer(headers, body, caller->is_request, delivered);
}

static void on_dropped(struct client client)
{
    waiting_caller(client)->state = CALLER_GONE;
}

/* Hosts */

static void start_host(unsigned number)
{
    const struct config config = {.max_waiting = 50,
                                  .max_waiting_per_project = 8,
                                  .request_grace_s = 60,
                                  .startup_grace_s = 60};

    world.host = number;
    day.hosts[number] = (struct host){.office = office_new(&config, NULL, -1)};
}

static void free_host(struct host *host)
{
    office_add(host->office, host->inbox);
    office_free(host->office);
}

static void kill_host(unsigned number)
{
    struct host *host = &day.hosts[number];

    if (office_has_work(host->office) || host->office->later.first)
        day.may_be_untold = true;
    for (int i = 1; i <= day.caller_count; i++)
        if (day.callers[i].host == number && day.callers[i].state == CALLER_WAITS)
            day.callers[i].state = CALLER_GONE;
    free_host(host);
    start_host(number);
}

static struct pool *pool_of(const struct host *host)
{
    return desks_get(&host->office->desks, WORLD_PROJECT)->pool;
}

/* A request whose caller was told of its grant never goes back into the queue. */
static void check_told(void)
{
    for (size_t i = 0; i < day.told_count; i++) {
        const struct told *told = &day.told[i];
        check(!told->delivered || find_lease(told->lease_id) || is_history(told->lease_id) ||
              world.is_deleted);
    }
}

static void check_rows(void)
{
    for (uint32_t i = 1; i < world.rows->stacks_size && i < STACKS_SEEN; i++) {
        const struct stack *stack = world.rows->stacks[i];
        if (!stack)
            continue;
        check(stack->fence >= day.seen[i].fence);
        if (!stack->lease)
            continue;
        if (memcmp(stack->lease->lease_id, day.seen[i].lease_id, LEASE_ID_SIZE) != 0)
            check(stack->fence > day.seen[i].fence);
        day.seen[i].fence = stack->fence;
        memcpy(day.seen[i].lease_id, stack->lease->lease_id, LEASE_ID_SIZE);
    }
}

/* As the writer's turn() and work() have it. */
static bool work(struct host *host)
{
    bool together;

    if (contact_connect(host->office) == CONTACT_LOST ||
        contact_watch(host->office, &together) == CONTACT_LOST ||
        batch_run(host->office) == CONTACT_LOST)
        return false;
    contact_fail_back(host->office);
    return true;
}

static void turn(struct host *host)
{
    const struct pool *pool;

    office_wait(host->office, 0);
    office_add(host->office, host->inbox);
    host->inbox = (struct command_list){0};
    if (!host->is_ready && world.now_us < host->reconnect_at_us) {
        office_refuse(host->office);
        return;
    }
    host->is_ready = work(host);
    if (!host->is_ready)
        host->is_ready = work(host);
    if (!host->is_ready) {
        office_refuse(host->office);
        host->reconnect_at_us = world.now_us + 200000;
    }
    pool = pool_of(host);
    if (pool)
        check_pool(&host->office->clerk, pool, true);
    check_rows();
    check_told();
}

static void turn_all(int times, int64_t pause_us)
{
    for (int i = 0; i < times; i++) {
        for (unsigned at = 0; at < WORLD_HOSTS; at++)
            turn(&day.hosts[at]);
        world.now_us += pause_us;
    }
}

/* Events */

static void guess(const struct lease *lease)
{
    struct told told = {.fence = (int64_t)lease->fence, .guessed = true};

    memcpy(told.lease_id, lease->lease_id, LEASE_ID_SIZE);
    remember(&told);
}

static void put_body(struct buf *out, const char *text)
{
    for (; *text; text++) {
        const struct stack *stack = NULL;

        if (text[0] == '$' && text[1] >= '0' && text[1] <= '9') {
            stack = pool_stack(world.rows, (uint32_t)(text[1] - '0'));
            text++;
        }
        if (stack && stack->lease)
            guess(stack->lease);
        for (size_t i = 0; stack && stack->lease && i < LEASE_ID_SIZE; i++)
            buf_printf(out, "%02x", stack->lease->lease_id[i]);
        if (!stack || !stack->lease)
            buf_append(out, text, 1);
    }
}

static void handle(unsigned number, const struct call *call)
{
    struct host *host = &day.hosts[number];
    const struct api api = {.is_ready = host->is_ready, .refusal = ""};
    struct response response = {0};
    struct command *command;

    day.callers[++day.caller_count] =
        (struct caller){.state = CALLER_WAITS,
                        .is_request = strcmp(call->path, "/requestStack") == 0,
                        .host = number};
    command = api_handle(&api, call, &response);
    if (command) {
        command->client.fd = day.caller_count;
        command->has_client = true;
        command_list_push(&host->inbox, command);
    } else {
        on_answered((struct client){.fd = day.caller_count}, &response.headers, &response.body,
                    true);
    }
    response_free(&response);
}

static void call(unsigned number, char letter, char *rest)
{
    static const char letters[] = "cvax";
    static char roles[][8] = {"ci", "viewer", "admin", "owner", ""};
    static char project[] = WORLD_PROJECT;
    static char key[] = "key";
    static char empty[] = "";
    const char *found = strchr(letters, letter);
    struct call call = {.project = letter == 'n' ? empty : project,
                        .role = roles[found ? found - letters : 4],
                        .key_name = key,
                        .key_number = empty,
                        .idempotency_key = empty,
                        .id = empty,
                        .seconds = empty};

    call.method = strsep(&rest, " ");
    call.query = rest ? strsep(&rest, " ") : empty;
    call.path = strsep(&call.query, "?");
    if (!call.query)
        call.query = empty;
    if (rest && *rest == '#')
        call.idempotency_key = strsep(&rest, " ") + 1;
    if (rest)
        put_body(&call.body, rest);
    handle(number, &call);
    buf_free(&call.body);
}

static void delete_or_make_project(void)
{
    uint32_t id = world.rows->id;

    world.is_deleted = !world.is_deleted;
    if (world.is_deleted)
        return;
    /* Another project of that name. */
    pool_free(world.rows);
    world.rows = pool_new(id + 1, WORLD_PROJECT);
    world.rows->prefix = mem_strdup("new-");
    world.rows->max_stacks = 2;
    world.rows->lease_s = world.rows->max_lease_s = 300;
    world.rows->wait_s = 10;
    world.rows->next_lease_number = 1;
    memset(day.seen, 0, sizeof day.seen);
    day.told_count = 0;
    for (size_t i = 0; i < world.history_count; i++)
        free(world.history[i].request_id);
    world.history_count = 0;
}

static void event(unsigned *at, char *line)
{
    long number = line[0] ? strtol(line + 1, NULL, 10) : 0;

    switch (line[0]) {
    case '.':
        turn(&day.hosts[*at]);
        break;
    case '@':
        *at = (unsigned)number % WORLD_HOSTS;
        break;
    case '~':
        kill_host(*at);
        break;
    case '+':
        world.now_us += (number > 0 && number < 200000 ? number : 0) * TIMES_SECOND;
        break;
    case '-':
        world_hang_up((int)number);
        break;
    case '*':
        world.is_undelivered = true;
        break;
    case '!':
        world.trouble = (enum world_trouble)((unsigned long)number % TROUBLE_COUNT);
        break;
    case '?':
        world.refusals = (unsigned)number % 64;
        break;
    case '=':
        world_change();
        break;
    case 'x':
        if (line[1] == '\0') {
            delete_or_make_project();
            break;
        }
        /* fall through */
    default:
        if (line[0] && line[1] == ' ' && day.caller_count < CALLERS_MAX)
            call(*at, line[0], line + 2);
    }
}

/* The end of the day */

/* Told twice: its caller came back for it, so it may well know of it. Marked by the stack's name:
 * so it may, too. */
static bool may_be_known(const struct lease *lease)
{
    int times = 0;

    for (size_t i = 0; i < day.told_count; i++)
        if (memcmp(day.told[i].lease_id, lease->lease_id, LEASE_ID_SIZE) == 0)
            times += day.told[i].delivered || day.told[i].guessed ? 2 : 1;
    return times > 1 || lease->deployed_at;
}

static bool is_parked(const struct lease *lease)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        struct office *office = day.hosts[i].office;
        if (office->clerk.instance == lease->instance)
            return parking_get(&desks_get(&office->desks, WORLD_PROJECT)->lot, lease->number);
    }
    return false; /* that of a program which is no more */
}

static void check_leases_left(void)
{
    const struct lease *lease;

    for (size_t at = 0; (lease = map_next(&world.rows->leases, &at)) != NULL;) {
        if (lease->state == LEASE_ACTIVE)
            check(may_be_known(lease) || day.may_be_untold);
        else if (lease->instance)
            check(is_parked(lease));
    }
}

/* One that goes through what failed together takes a turn for each of it. */
static bool anybody_works(void)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++)
        if (office_has_work(day.hosts[i].office))
            return true;
    return false;
}

static void end_day(void)
{
    world.trouble = TROUBLE_NONE;
    world.refusals = 0;
    world.is_undelivered = false;
    do {
        turn_all(4, TIMES_SECOND);
    } while (anybody_works());
    if (!world.is_deleted)
        check_leases_left();
    for (unsigned i = 0; i < WORLD_HOSTS; i++)
        office_drain(day.hosts[i].office);
    do {
        turn_all(3, TIMES_SECOND);
    } while (anybody_works());
    for (int i = 1; i <= day.caller_count; i++)
        check(day.callers[i].state == CALLER_ANSWERED || day.callers[i].state == CALLER_GONE);
    turn_all(3, 100000 * TIMES_SECOND);
    check(world.is_deleted || world.rows->leases.count == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_set_level(LOG_ERROR);
    return setenv("CMOCKA_TEST_ABORT", "1", 1); /* what check_pool.h finds */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    char *rest = text;
    char *line;
    unsigned at = 0;

    memset(&day, 0, sizeof day);
    world_open();
    world.answered = on_answered;
    world.dropped = on_dropped;
    for (unsigned i = 0; i < WORLD_HOSTS; i++)
        start_host(i);
    while ((line = strsep(&rest, "\n")) != NULL)
        event(&at, line);
    end_day();
    for (unsigned i = 0; i < WORLD_HOSTS; i++)
        free_host(&day.hosts[i]);
    world_close();
    free(text);
    return 0;
}
