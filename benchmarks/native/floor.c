/* floor SOURCE DESTINATION: the least that any program can take to connect a port that appears.
 *
 * Connects each port SOURCE<n> with DESTINATION<n>: jack_connect straight from the thread that the notification wakes,
 * with no rules, no mirror of the graph and no second process. The notification itself must not ask the server.
 */
#include "client.h"

enum { RING = 4096 };

static sem_t appeared;
static jack_port_id_t ring[RING];
static unsigned written;

static void on_registration(jack_port_id_t id, int registered, void *arg)
{
    (void)arg;
    if (!registered) return;
    ring[written++ % RING] = id;
    sem_post(&appeared);                              /* orders the two lines as well */
}

static void wait_for_appearance(void)
{
    while (sem_wait(&appeared)) {}
}

int main(int argc, char **argv)
{
    if (argc != 3) stop("usage: floor SOURCE DESTINATION");
    size_t length = strlen(argv[1]);
    jack_client_t *client = open_client("floor");
    sem_init(&appeared, 0, 0);
    jack_set_port_registration_callback(client, on_registration, NULL);
    if (jack_activate(client)) stop("not activated");
    say_ready();
    for (unsigned read = 0;; read++) {
        wait_for_appearance();
        jack_port_t *port = jack_port_by_id(client, ring[read % RING]);
        const char *name = port ? jack_port_name(port) : NULL;
        if (!name || strncmp(name, argv[1], length)) continue;
        char source[512], destination[512];
        snprintf(source, sizeof source, "%s", name);
        snprintf(destination, sizeof destination, "%s%s", argv[2], source + length);
        jack_connect(client, source, destination);
    }
}
