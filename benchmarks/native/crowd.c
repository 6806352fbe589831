/* crowd PORTS [NAME]: a client with that many ports, half of them outputs, which stay until standard input ends. */
#include "client.h"

int main(int argc, char **argv)
{
    int ports = argc > 1 ? atoi(argv[1]) : 1500;
    jack_client_t *client = open_client(argc > 2 ? argv[2] : "crowd");
    for (int i = 1; i <= ports / 2; i++) register_port(client, "out_", i, JackPortIsOutput);
    for (int i = 1; i <= ports - ports / 2; i++) register_port(client, "in_", i, JackPortIsInput);
    if (jack_activate(client)) stop("not activated");
    say_ready();
    stay();
    jack_client_close(client);
}
