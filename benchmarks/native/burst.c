/* burst PORTS ROUNDS: a client whose ports appear all at once; one line a round: microseconds until all are connected.
 *
 * Ports that a client has before it is active cannot be connected: all of them appear with jack_activate, and the time
 * runs from its call until the graph that sound runs through has a connection at each. -1: not within 5 s.
 */
#include "client.h"

enum { MAX = 512, PATIENCE_US = 5000000 };

static int all_connected(jack_port_t **port, int ports)
{
    while (ports > 0 && jack_port_connected(port[ports - 1])) ports--;
    return !ports;
}

static long measure(int ports)
{
    jack_port_t *port[MAX];
    jack_client_t *client = open_client("burst");
    for (int i = 0; i < ports; i++) port[i] = register_port(client, "out_", i + 1, JackPortIsOutput);
    long start = now_us();
    if (jack_activate(client)) stop("not activated");
    while (!all_connected(port, ports) && now_us() - start < PATIENCE_US) pause_us(50);
    long took = now_us() - start;
    jack_client_close(client);
    return took < PATIENCE_US ? took : -1;
}

int main(int argc, char **argv)
{
    int ports = argc > 1 ? atoi(argv[1]) : 64, rounds = argc > 2 ? atoi(argv[2]) : 10;
    if (ports > MAX) stop("too many ports");
    for (int i = 0; i < rounds; i++) {
        pause_us(300000);
        printf("%ld\n", measure(ports));
    }
}
