/* What a program needs that waits for a server to start and for others to connect its ports. */
#ifndef BENCHMARKS_PAIRS_H
#define BENCHMARKS_PAIRS_H

#include "client.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { PAIRS = 256, NAME = 320, PATIENCE_US = 12000000 };

static char source[PAIRS][NAME], destination[PAIRS][NAME];
static int pairs;

/* Standard input: one line "SOURCE DESTINATION" for each connection to wait for, then an empty line. A destination may have a
 * second name, after a "|": session managers of PipeWire rename the ports of devices. */
static inline void read_pairs(void)
{
    char line[2 * NAME];
    while (pairs < PAIRS && fgets(line, sizeof line, stdin) && sscanf(line, "%319s %319s", source[pairs], destination[pairs]) == 2)
        pairs++;
}

static inline int accepts(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int attempt = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int accepted = !connect(attempt, (struct sockaddr *)&address, sizeof address);
    close(attempt);
    return accepted;
}

static inline int connected(jack_client_t *client, int pair)
{
    jack_port_t *port = jack_port_by_name(client, source[pair]);
    char names[NAME], *rest = names;
    strcpy(names, destination[pair]);
    for (const char *name; port && (name = strsep(&rest, "|"));)
        if (jack_port_connected_to(port, name)) return 1;
    return 0;
}

/* Looks only into the memory that the server shares: no request of ours stands in the way of those who work.
 * Gives how long it took since the start until the first so many pairs were connected, -1 where it takes too long. */
static inline long wait_for_pairs(jack_client_t *client, int count, long start)
{
    int seen = 0;
    while (seen < count && now_us() - start < PATIENCE_US)
        if (connected(client, seen)) seen++; else pause_us(500);
    long took = now_us() - start;
    for (int i = 0; i < count; i++)
        if (!connected(client, i)) return -1;
    return took;
}

#endif
