/* roundtrip INPUT OUTPUT CHANNELS WARM_MS MEASURE_MS: plays into ports of somebody, records what comes out, and
 * compares it, sample by sample, with what was played in the same period.
 *
 * The ports are INPUT1 ... and OUTPUT1 ...; whatever else they are connected with is disconnected. One client plays and
 * another one records, so that the sound goes through three clients in each period. It is noise out of a table, at the
 * place that the frame of the server tells: both clients know what it must be without talking to each other.
 *
 * Writes "begin" and "end" when they happen, with the time (CLOCK_MONOTONIC, ns), and then what became of the periods
 * between them: "intact", "late" (the sound of an earlier period), "silent", "broken" (anything else) and "skipped" (the
 * recorder did not run).
 */
#include "client.h"

#include <stdatomic.h>
#include <stdint.h>

enum { MOST = 64, MOST_FRAMES = 8192, TABLE = 65536, MOST_LATE = 8, PATIENCE_US = 10000000 };

static float table[TABLE + MOST_FRAMES];
static int channels;
static jack_client_t *player, *recorder;
static jack_port_t *sent[MOST], *received[MOST];
static atomic_int measuring;
static struct { long intact, late, silent, broken, skipped; } periods;

static void fill_table(void)
{
    uint32_t x = 12345;                               /* xorshift */
    for (int i = 0; i < TABLE; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        table[i] = (float)(int32_t)x / 2147483648.0f;
    }
    memcpy(table + TABLE, table, MOST_FRAMES * sizeof(float));
}

static const float *sound(int channel, jack_nframes_t frame)
{
    return table + (frame + (uint32_t)channel * 977) % TABLE;
}

static int play(jack_nframes_t frames, void *arg)
{
    (void)arg;
    jack_nframes_t frame = jack_last_frame_time(player);
    for (int c = 0; c < channels; c++)
        memcpy(jack_port_get_buffer(sent[c], frames), sound(c, frame), frames * sizeof(float));
    return 0;
}

/* By how many periods the sound is late; -1: it is not what was played. */
static int lateness(const float *heard, int channel, jack_nframes_t frame, jack_nframes_t frames)
{
    int late = 0;
    while (late <= MOST_LATE && memcmp(heard, sound(channel, frame - (uint32_t)late * frames), frames * sizeof(float))) late++;
    return late <= MOST_LATE ? late : -1;
}

static int is_silent(const float *heard, jack_nframes_t frames)
{
    jack_nframes_t f = 0;
    while (f < frames && heard[f] == 0) f++;
    return f == frames;
}

static void count_period(const float *const *heard, jack_nframes_t frame, jack_nframes_t frames)
{
    int late = 0, silent = 0, broken = 0;
    for (int c = 0; c < channels; c++) {
        int by = lateness(heard[c], c, frame, frames);
        late += by > 0;
        silent += by < 0 && is_silent(heard[c], frames);
        broken += by < 0 && !is_silent(heard[c], frames);
    }
    *(broken ? &periods.broken : late ? &periods.late : silent ? &periods.silent : &periods.intact) += 1;
}

static int record(jack_nframes_t frames, void *arg)
{
    (void)arg;
    static jack_nframes_t expected;
    static int measured_before;
    jack_nframes_t frame = jack_last_frame_time(recorder);
    const float *heard[MOST];
    for (int c = 0; c < channels; c++) heard[c] = jack_port_get_buffer(received[c], frames);
    int now = atomic_load(&measuring);
    if (now) {
        if (measured_before && frame != expected) periods.skipped += (int32_t)(frame - expected) / (int32_t)frames;
        count_period(heard, frame, frames);
    }
    expected = frame + frames;
    measured_before = now;
    return 0;
}

static jack_port_t *wait_for_port(const char *prefix, int number)
{
    char name[512];
    snprintf(name, sizeof name, "%s%d", prefix, number);
    jack_port_t *port;
    for (long start = now_us(); !(port = jack_port_by_name(recorder, name)); pause_us(20000))
        if (now_us() - start > PATIENCE_US) stop("there are no such ports");
    return port;
}

static void disconnect_all(const jack_port_t *port)
{
    const char **other = jack_port_get_all_connections(recorder, port);
    int is_output = jack_port_flags(port) & JackPortIsOutput;
    for (int i = 0; other && other[i]; i++)
        jack_disconnect(recorder, is_output ? jack_port_name(port) : other[i], is_output ? other[i] : jack_port_name(port));
    jack_free(other);
}

static void connect_channel(const char *input, const char *output, int number)
{
    jack_port_t *in = wait_for_port(input, number), *out = wait_for_port(output, number);
    disconnect_all(in);
    disconnect_all(out);
    if (jack_connect(player, jack_port_name(sent[number - 1]), jack_port_name(in))) stop("not connected");
    if (jack_connect(recorder, jack_port_name(out), jack_port_name(received[number - 1]))) stop("not connected");
}

static void open_both(void)
{
    player = open_client("player");
    recorder = open_client("recorder");
    for (int c = 0; c < channels; c++) {
        sent[c] = register_port(player, "out_", c + 1, JackPortIsOutput);
        received[c] = register_port(recorder, "in_", c + 1, JackPortIsInput);
    }
    jack_set_process_callback(player, play, NULL);
    jack_set_process_callback(recorder, record, NULL);
    if (jack_activate(player) || jack_activate(recorder)) stop("not activated");
}

static void tell_time(const char *what)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    printf("%s %lld\n", what, t.tv_sec * 1000000000LL + t.tv_nsec);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 6) stop("usage: roundtrip INPUT OUTPUT CHANNELS WARM_MS MEASURE_MS");
    channels = atoi(argv[3]);
    if (channels > MOST) stop("too many channels");
    fill_table();
    open_both();
    for (int number = 1; number <= channels; number++) connect_channel(argv[1], argv[2], number);
    pause_us(atol(argv[4]) * 1000);
    atomic_store(&measuring, 1);
    tell_time("begin");
    pause_us(atol(argv[5]) * 1000);
    atomic_store(&measuring, 0);
    tell_time("end");
    pause_us(50000);                                  /* the period that was being counted */
    printf("intact %ld\nlate %ld\nsilent %ld\nbroken %ld\nskipped %ld\n", periods.intact, periods.late, periods.silent,
           periods.broken, periods.skipped);
    fflush(stdout);
    jack_client_close(player);
    jack_client_close(recorder);
}
