/* witness SOCKET CLIENT INPUT OUTPUT ... <PAIRS: sees from outside how a server that just started is wired again.
 *
 * SOCKET     where the server will listen; time runs from the moment when it accepts
 * CLIENT     whose ports are counted
 * INPUT OUTPUT ...   of buses: what comes out of OUTPUT for what goes into INPUT is measured
 * Standard input: one line "SOURCE DESTINATION" for each connection to wait for, an empty line, then "cut N" lines.
 *
 * Writes: "listening" and the time (microseconds since 1970), "restored" and how long it took (-1: not within 12 s),
 * "ports" and their number, "gain" and the factor for each bus. Each "cut N" disconnects pair N and is answered "cut".
 */
#include "pairs.h"

#include <math.h>
#include <stdatomic.h>

static jack_client_t *client;
static jack_port_t *sent, *received;
static _Atomic float heard;

static int count_ports(const char *of)
{
    char pattern[NAME];
    snprintf(pattern, sizeof pattern, "^%s:", of);
    const char **name = jack_get_ports(client, pattern, NULL, 0);
    int ports = 0;
    while (name && name[ports]) ports++;
    jack_free(name);
    return ports;
}

static int on_process(jack_nframes_t frames, void *arg)
{
    (void)arg;
    float *out = jack_port_get_buffer(sent, frames);
    const float *in = jack_port_get_buffer(received, frames);
    for (jack_nframes_t i = 0; i < frames; i++) out[i] = 0.5f;
    atomic_store(&heard, in[frames - 1]);
    return 0;
}

/* A constant goes in; what comes out is its product with the gain, as soon as it stays the same for 100 ms. */
static float measure_gain(const char *input, const char *output)
{
    if (jack_connect(client, jack_port_name(sent), input) || jack_connect(client, output, jack_port_name(received))) return NAN;
    float before = 0, now = 0;
    long start = now_us(), same_since = start;
    while (now_us() - same_since < 100000 && now_us() - start < PATIENCE_US) {
        pause_us(5000);
        now = atomic_load(&heard);
        if (now != before || now == 0) same_since = now_us();
        before = now;
    }
    jack_disconnect(client, jack_port_name(sent), input);
    jack_disconnect(client, output, jack_port_name(received));
    return now / 0.5f;
}

static void measure_gains(int buses, char **port)
{
    sent = register_port(client, "out_", 1, JackPortIsOutput);
    received = register_port(client, "in_", 1, JackPortIsInput);
    jack_set_process_callback(client, on_process, NULL);
    if (jack_activate(client)) stop("not activated");
    for (int i = 0; i < buses; i++) printf("gain %.6f\n", measure_gain(port[2 * i], port[2 * i + 1]));
}

int main(int argc, char **argv)
{
    if (argc < 3) stop("usage: witness SOCKET CLIENT INPUT OUTPUT ... <PAIRS");
    setlinebuf(stdout);
    read_pairs();
    while (!accepts(argv[1])) pause_us(500);
    long start = now_us();
    struct timespec listening;
    clock_gettime(CLOCK_REALTIME, &listening);
    printf("listening %ld\n", listening.tv_sec * 1000000L + listening.tv_nsec / 1000);
    client = open_client("witness");
    printf("restored %ld\n", wait_for_pairs(client, pairs, start));
    printf("ports %d\n", count_ports(argv[2]));
    measure_gains((argc - 3) / 2, argv + 3);
    for (int number; scanf(" cut %d", &number) == 1;)
        printf(jack_disconnect(client, source[number], destination[number]) ? "not cut\n" : "cut\n");
    _exit(0);                                         /* the server may be dead: closing could hang */
}
