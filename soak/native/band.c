/* band SOCKET NAME NAMED OUTPUTS VALUE ... <PAIRS: a client that is there as soon as a server is, and sees what becomes of it.
 *
 * SOCKET     where the server will listen; time runs from the moment when it accepts
 * NAME       the pretty name of its last output, as soon as there is metadata; "" for none
 * NAMED      how many of the pairs, the last ones, somebody connects who has seen that name
 * OUTPUTS    its outputs out_1, out_2 ...: out_N plays the constant N/64
 * VALUE ...  one input in_1, in_2 ... for each: what it must hear in the end, through whatever is connected by then
 * Standard input: see read_pairs.
 *
 * Writes, with the microseconds (-1: not within 12 s): "ready" once its own ports are there, "others" when all pairs but
 * the named ones are connected, "restored" when all are, "sound" when each input hears its value. Each further line of standard
 * input has it look again, and write the last three with the time from that line on. It leaves when its input ends, or the
 * server does.
 */
#include "pairs.h"

#include <jack/metadata.h>
#include <math.h>
#include <poll.h>
#include <stdatomic.h>

enum { PORTS = 64 };

static jack_client_t *client;
static jack_port_t *out[PORTS], *in[PORTS];
static int outs, ins, named;
static float wanted[PORTS];
static _Atomic float heard[PORTS];
static int end_of_server[2];                          /* a pipe: readable once the server is gone */

static int on_process(jack_nframes_t frames, void *arg)
{
    (void)arg;
    for (int n = 0; n < outs; n++) {
        float *to = jack_port_get_buffer(out[n], frames);
        for (jack_nframes_t i = 0; i < frames; i++) to[i] = (n + 1) / 64.0f;
    }
    for (int n = 0; n < ins; n++) {
        const float *from = jack_port_get_buffer(in[n], frames);
        atomic_store(&heard[n], from[frames - 1]);
    }
    return 0;
}

static void on_shutdown(void *arg)
{
    (void)arg;
    if (write(end_of_server[1], "", 1) < 0) _exit(1);
}

static int all_hear(void)
{
    for (int n = 0; n < ins; n++)
        if (fabsf(atomic_load(&heard[n]) - wanted[n]) > 1e-4f * fabsf(wanted[n])) return 0;
    return 1;
}

static long wait_for_sound(long start)
{
    while (!all_hear() && now_us() - start < PATIENCE_US) pause_us(500);
    return all_hear() ? now_us() - start : -1;
}

/* On PipeWire there is metadata once the session manager has come. */
static int is_named(const char *name)
{
    jack_uuid_t subject = jack_port_uuid(out[outs - 1]);
    return !*name || !jack_set_property(client, subject, JACK_METADATA_PRETTY_NAME, name, "text/plain");
}

static void look(const char *name, long start)
{
    int done = is_named(name);
    printf("others %ld\n", wait_for_pairs(client, pairs - named, start));
    while (!done && now_us() - start < PATIENCE_US) {
        pause_us(5000);
        done = is_named(name);
    }
    printf("restored %ld\n", wait_for_pairs(client, pairs, start));
    printf("sound %ld\n", wait_for_sound(start));
}

/* PipeWire 0.3.65 refuses a port now and then while others come and go: a program that is to last tries again. */
static jack_port_t *register_patiently(const char *prefix, int number, unsigned long flags)
{
    char name[64];
    snprintf(name, sizeof name, "%s%d", prefix, number);
    jack_port_t *port;
    long start = now_us();
    while (!(port = jack_port_register(client, name, JACK_DEFAULT_AUDIO_TYPE, flags, 0)) && now_us() - start < PATIENCE_US)
        pause_us(5000);
    if (!port) stop("the server has no port left");
    return port;
}

static void come(void)
{
    jack_set_error_function(say_nothing);
    long start = now_us();
    while (!(client = jack_client_open("band", JackNoStartServer | JackUseExactName, NULL)) && now_us() - start < PATIENCE_US)
        pause_us(5000);
    if (!client) stop("no client of the server");
    jack_on_shutdown(client, on_shutdown, NULL);
    jack_set_process_callback(client, on_process, NULL);
    for (int n = 0; n < outs; n++) out[n] = register_patiently("out_", n + 1, JackPortIsOutput);
    for (int n = 0; n < ins; n++) in[n] = register_patiently("in_", n + 1, JackPortIsInput);
    if (jack_activate(client)) stop("not activated");
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc - 5 > PORTS) stop("usage: band SOCKET NAME NAMED OUTPUTS VALUE ... <PAIRS");
    setlinebuf(stdout);
    setvbuf(stdin, NULL, _IONBF, 0);                  /* what is not read yet is seen by poll */
    read_pairs();
    named = atoi(argv[3]), outs = atoi(argv[4]), ins = argc - 5;
    for (int n = 0; n < ins; n++) wanted[n] = strtof(argv[5 + n], NULL);
    if (pipe(end_of_server)) stop("no pipe");
    while (!accepts(argv[1])) pause_us(500);
    long start = now_us();
    come();
    printf("ready %ld\n", now_us() - start);
    look(argv[2], start);
    struct pollfd told[] = {{.fd = 0, .events = POLLIN}, {.fd = end_of_server[0], .events = POLLIN}};
    char line[8];
    while (poll(told, 2, -1) > 0 && !told[1].revents && fgets(line, sizeof line, stdin)) look("", now_us());
    jack_client_close(client);
}
