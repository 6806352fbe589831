/* probe ROUNDS: registers a port that somebody connects, and measures how long that takes, as seen from in here.
 *
 * One line a round, in microseconds from the call of jack_port_register: until it returned, until the server told of
 * the connection, and until the graph that sound runs through has it (from the next cycle on). -1: not within 2 s.
 * A first round, which does not count, waits until whoever connects is there.
 */
#include "client.h"

static sem_t told;
static long told_us;

static void on_connect(jack_port_id_t source, jack_port_id_t destination, int connected, void *arg)
{
    (void)source, (void)destination, (void)arg;
    if (!connected) return;
    told_us = now_us();
    sem_post(&told);
}

static int measure(jack_client_t *client, int patience_s, FILE *to)
{
    while (!sem_trywait(&told)) {}                    /* what came too late for the round before */
    long start = now_us();
    jack_port_t *port = register_port(client, "out_", 1, JackPortIsOutput);
    long registered = now_us();
    int connected = wait_for(&told, patience_s);
    if (connected) {
        while (!jack_port_connected(port)) pause_us(20);
        fprintf(to, "%ld %ld %ld\n", registered - start, told_us - start, now_us() - start);
    } else {
        fprintf(to, "%ld -1 -1\n", registered - start);
    }
    jack_port_unregister(client, port);
    return connected;
}

static void pause_at_random(void)
{
    pause_us(30000 + random() % 30000);               /* several cycles, and no whole number of them */
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    jack_client_t *client = open_client("probe");
    sem_init(&told, 0, 0);
    jack_set_port_connect_callback(client, on_connect, NULL);
    if (jack_activate(client)) stop("not activated");
    srandom((unsigned)getpid());
    FILE *nowhere = fopen("/dev/null", "w");
    if (!nowhere || !measure(client, 10, nowhere)) stop("nobody connects the port");
    for (int i = 0; i < rounds; i++) {
        pause_at_random();
        measure(client, 2, stdout);
    }
    jack_client_close(client);
}
