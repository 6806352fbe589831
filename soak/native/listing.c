/* listing: what a client that has just come sees of the graph. "port NAME" and "connection SOURCE DESTINATION", a line each. */
#include "client.h"

int main(void)
{
    jack_client_t *client = open_client("listing");
    const char **names = jack_get_ports(client, NULL, NULL, 0);
    for (int i = 0; names && names[i]; i++) {
        jack_port_t *port = jack_port_by_name(client, names[i]);
        if (!port) stop("a port went while all were listed");
        printf("port %s\n", names[i]);
        if (!(jack_port_flags(port) & JackPortIsOutput)) continue;
        const char **ends = jack_port_get_all_connections(client, port);
        for (int j = 0; ends && ends[j]; j++) printf("connection %s %s\n", names[i], ends[j]);
        jack_free(ends);
    }
    jack_free(names);
    jack_client_close(client);
}
