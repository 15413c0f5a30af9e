/* constant SOCKET THREADS
 *
 * A double of the program, to be measured beside it: plain FCGX_Accept_r() in THREADS threads, and
 * to every request, once its body is read, one and the same answer of a borrow. */
#include "tool.h"

#include <fcgiapp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BACKLOG 4096
#define ANSWER                                                                                     \
    "Status: 200\r\nContent-Type: application/json\r\n\r\n"                                        \
    "{\"stackName\":\"test-1\",\"lastDeployedCommit\":null,"                                       \
    "\"leaseId\":\"594d6b47594d6b47594d6b47594d6b47\",\"fence\":1,"                                \
    "\"expiresAt\":\"2026-01-02T03:04:05.678Z\",\"expiresInSeconds\":3600,\"isNew\":false,"        \
    "\"requestNumber\":1,\"waitedSeconds\":0}\n"

static int listener;

static void *serve(void *unused)
{
    FCGX_Request request;
    char body[4096];

    (void)unused;
    if (FCGX_InitRequest(&request, listener, 0) != 0)
        tool_die("FCGX_InitRequest");
    while (FCGX_Accept_r(&request) == 0) {
        while (FCGX_GetStr(body, sizeof body, request.in) == sizeof body)
            ;
        FCGX_PutStr(ANSWER, (int)sizeof ANSWER - 1, request.out);
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int count;

    if (argc != 3)
        tool_die("usage: constant SOCKET THREADS");
    count = (int)tool_number(argv[2], 1000);
    if (FCGX_Init() != 0 || (listener = FCGX_OpenSocket(argv[1], BACKLOG)) < 0)
        tool_die("%s: can't listen", argv[1]);
    for (int i = 1; i < count; i++)
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            tool_die("no thread");
    serve(NULL);
    return 0;
}
