/* etcd: a pool as keys in etcd, over gRPC. The address is a port on loopback. A key a stack; its
 * value is empty while the stack is free, else who has it. A client reads all (a serializable read:
 * no consensus), picks a free one at random, so that clients don't race for the first, and takes it
 * in a transaction that compares. */
#include "grpc.h"
#include "peer.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGE "/etcdserverpb.KV/Range"
#define PUT   "/etcdserverpb.KV/Put"
#define TXN   "/etcdserverpb.KV/Txn"

/* "stack/" + five digits; "stack0" is the end of the range. */
#define KEY_LEN 11

struct peer {
    struct grpc *grpc;
    int client;
    unsigned long leases;
    unsigned random;
    char lease_id[17];
    struct message question;
    struct message answer;
};

static void write_key(char key[16], int stack)
{
    snprintf(key, 16, "stack/%05u", (unsigned)stack % 100000U);
}

void peer_fill(const char *address, const char *way, int stacks)
{
    struct peer *peer = peer_open(address, way, 0);
    char key[16];

    for (int i = 0; i < stacks; i++) {
        write_key(key, i);
        peer->question.len = 0;
        message_add_bytes(&peer->question, 1, key, KEY_LEN);
        grpc_call(peer->grpc, PUT, &peer->question, &peer->answer);
    }
    peer_close(peer);
}

struct peer *peer_open(const char *address, const char *way, int client)
{
    struct peer *peer = calloc(1, sizeof *peer);

    (void)way;
    if (!peer)
        tool_die("out of memory");
    peer->client = client;
    peer->random = (unsigned)client + 1;
    peer->grpc = grpc_open((uint16_t)tool_number(address, UINT16_MAX));
    return peer;
}

void peer_close(struct peer *peer)
{
    grpc_close(peer->grpc);
    free(peer);
}

/* The stack of a KeyValue whose value is empty; else PEER_AGAIN. */
static int read_free(const struct message_field *key_value)
{
    const unsigned char *at = key_value->data;
    const unsigned char *end = at + key_value->len;
    struct message_field field;
    char key[16] = "";

    while (message_next(&at, end, &field)) {
        if (field.number == 1 && field.len == KEY_LEN)
            memcpy(key, field.data, KEY_LEN);
        else if (field.number == 5 && field.len > 0)
            return PEER_AGAIN;
    }
    return key[0] ? (int)tool_number(key + strlen("stack/"), 99999) : PEER_AGAIN;
}

/* A free stack, each with the same chance; PEER_AGAIN if there is none. */
static int find_free(struct peer *peer)
{
    const unsigned char *at = peer->answer.data;
    struct message_field field;
    unsigned seen = 0;
    int found = PEER_AGAIN;

    peer->question.len = 0;
    message_add_bytes(&peer->question, 1, "stack/", 6);
    message_add_bytes(&peer->question, 2, "stack0", 6);
    message_add_number(&peer->question, 7, 1);
    grpc_call(peer->grpc, RANGE, &peer->question, &peer->answer);
    while (message_next(&at, peer->answer.data + peer->answer.len, &field)) {
        int stack = field.number == 2 && field.data ? read_free(&field) : PEER_AGAIN;
        if (stack != PEER_AGAIN && (unsigned)rand_r(&peer->random) % ++seen == 0)
            found = stack;
    }
    return found;
}

/* Changes the stack's value in a transaction. Returns 0 if it isn't `from` any more. */
static int change(struct peer *peer, int stack, const char *from, const char *to)
{
    static _Thread_local struct message part, operation;
    const unsigned char *at = peer->answer.data;
    struct message_field field;
    char key[16];

    write_key(key, stack);
    part.len = 0;
    message_add_number(&part, 2, 3); /* its value (equals, which is 0) */
    message_add_bytes(&part, 3, key, KEY_LEN);
    message_add_bytes(&part, 7, from, strlen(from));
    peer->question.len = 0;
    message_add_bytes(&peer->question, 1, part.data, part.len);
    part.len = operation.len = 0;
    message_add_bytes(&part, 1, key, KEY_LEN);
    message_add_bytes(&part, 2, to, strlen(to));
    message_add_bytes(&operation, 2, part.data, part.len);
    message_add_bytes(&peer->question, 2, operation.data, operation.len);
    grpc_call(peer->grpc, TXN, &peer->question, &peer->answer);
    while (message_next(&at, peer->answer.data + peer->answer.len, &field))
        if (field.number == 2)
            return field.value != 0;
    return 0;
}

int peer_borrow(struct peer *peer)
{
    int stack = find_free(peer);

    if (stack == PEER_AGAIN)
        return PEER_AGAIN;
    snprintf(peer->lease_id, sizeof peer->lease_id, "%04x%012lx", (unsigned)peer->client & 0xffffU,
             peer->leases++ & 0xffffffffffffUL);
    return change(peer, stack, "", peer->lease_id) ? stack : PEER_AGAIN;
}

void peer_return(struct peer *peer, int stack)
{
    if (!change(peer, stack, peer->lease_id, ""))
        tool_die("stack %d was another's", stack);
}
