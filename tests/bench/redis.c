/* redis: a pool as a list in Redis, BLPOP and RPUSH. The address is a unix socket. A client that
 * dies with a stack loses it: nothing says who has it. */
#include "peer.h"
#include "tool.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#define POOL "free"

static redisContext *connect_to(const char *address)
{
    redisContext *redis = redisConnectUnix(address);

    if (!redis || redis->err)
        tool_die("Redis: %s", redis ? redis->errstr : "out of memory");
    return redis;
}

static redisReply *must(redisContext *redis, redisReply *reply)
{
    if (!reply)
        tool_die("Redis: %s", redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        tool_die("Redis: %s", reply->str);
    return reply;
}

static void push(redisContext *redis, int stack)
{
    freeReplyObject(must(redis, redisCommand(redis, "RPUSH " POOL " %d", stack)));
}

void peer_fill(const char *address, const char *way, int stacks)
{
    redisContext *redis = connect_to(address);

    (void)way;
    freeReplyObject(must(redis, redisCommand(redis, "DEL " POOL)));
    for (int i = 0; i < stacks; i++)
        push(redis, i);
    redisFree(redis);
}

struct peer *peer_open(const char *address, const char *way, int client)
{
    (void)way;
    (void)client;
    return (struct peer *)connect_to(address);
}

void peer_close(struct peer *peer)
{
    redisFree((redisContext *)peer);
}

int peer_borrow(struct peer *peer)
{
    redisContext *redis = (redisContext *)peer;
    redisReply *reply = must(redis, redisCommand(redis, "BLPOP " POOL " 30"));
    int stack;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        tool_die("Redis: no stack for 30 s");
    stack = (int)tool_number(reply->element[1]->str, 1e9);
    freeReplyObject(reply);
    return stack;
}

void peer_return(struct peer *peer, int stack)
{
    push((redisContext *)peer, stack);
}
