/* Hammers the kernel from as many threads as it has in life: realtime, notifications, requests, and the daemon.
 * Exits with 0 when nothing tore, nothing was lost untold, and everything came in order. For sanitizers: every
 * buffer is of exactly the size of its cycle, and freed before the next one. */
#include "kernel.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PORTS = 6, CELLS = PORTS * PORTS, ROUNDS = 1500 };

static struct shared *shared;
static struct kernel *kernel;
static _Atomic int stop;
static _Atomic long torn, cycles;
static float *buffer[2 * PORTS];                     /* inputs, then outputs: of the realtime thread */
static unsigned char midi_event[3] = {0x90, 60, 100};
static uint32_t midi_room;                            /* of one output in this cycle */
static unsigned char midi_place[3];
static long midi_on, midi_off;                        /* notes that began and ended: of the realtime thread, and at the end */

static void fail(const char *what, long number)
{
    fprintf(stderr, "%s: %ld\n", what, number);
    exit(1);
}

static unsigned draw(unsigned *seed) { return (unsigned)rand_r(seed) / 16; }

/* ---- what libjack would do */

static void *get_buffer(void *port, uint32_t frames) { (void)frames; return *(float **)port; }
static void *port_by_id(void *client, uint32_t id) { (void)client; return id % 7 ? (void *)(uintptr_t)id : NULL; }
static const char *port_name(void *port) { return (uintptr_t)port % 2 ? "a:port" : "another client:with a longer name"; }
static int port_flags(void *port) { return (int)((uintptr_t)port % 2); }
static const char *port_type(void *port) { (void)port; return "32 bit float mono audio"; }

static uint32_t midi_count(void *buffer) { return buffer ? 2 : 0; }
static void midi_clear(void *buffer) { midi_room = buffer ? 1 : 0; }

static int midi_get(struct midi_event *e, void *buffer, uint32_t index)
{
    (void)buffer;
    *e = (struct midi_event){index, sizeof midi_event, midi_event};
    return 0;
}

/* Two notes come in a cycle, and there is room for one event: each end of a note has to wait for its turn. */
static unsigned char *midi_reserve(void *buffer, uint32_t frame, size_t bytes)
{
    (void)buffer, (void)frame;
    return bytes == 3 && midi_room && midi_room-- ? midi_place : NULL;
}

static int port_aliases(void *port, char *const aliases[2])
{
    (void)port;
    /* As PipeWire's: one alias may be the second, and the first is left as it was. */
    snprintf(aliases[rand() & 1], 320, "alias");
    return 1;
}

/* Plan 1 leads all inputs, which are 1, to each output; all gains are the same whole number: so must the sums be. */
static void *realtime(void *unused)
{
    unsigned seed = 1;
    (void)unused;
    while (!atomic_load(&stop)) {
        uint32_t n = draw(&seed) % 4 ? 1 + draw(&seed) % 300 : 16u << draw(&seed) % 5;
        for (int p = 0; p < 2 * PORTS; p++) {
            buffer[p] = malloc(n * sizeof(float));
            for (uint32_t f = 0; f < n; f++) buffer[p][f] = p < PORTS ? 1 : -7;
        }
        midi_event[1] = (unsigned char)(draw(&seed) % 128);
        memset(midi_place, 0, sizeof midi_place);
        if (kernel_on_process(n, kernel)) fail("process", 1);
        if (draw(&seed) % 16 == 0) kernel_on_info_shutdown(1, "the end", kernel);
        midi_on += midi_place[0] == 0x90, midi_off += midi_place[0] == 0x80;
        for (int o = PORTS + 1; o < 2 * PORTS; o++)
            if (buffer[o][n - 1] != buffer[PORTS][n - 1] && buffer[o][n - 1] != -7) atomic_fetch_add(&torn, 1);
        for (int p = 0; p < 2 * PORTS; p++) free(buffer[p]);
        atomic_fetch_add(&cycles, 1);
    }
    return NULL;
}

static void *notifications(void *unused)
{
    unsigned seed = 2;
    uint32_t number = 0;
    (void)unused;
    while (!atomic_load(&stop)) {
        kernel_on_port_connect(number, number + 1, (int)(number & 1), kernel);
        number++;
        uint32_t id = draw(&seed) % 100;
        kernel_on_port_registration(id, (int)(draw(&seed) % 2), kernel);
        if (id == 1) kernel_on_port_rename(id, "before", "now", kernel);
        if (id == 2) kernel_on_client_registration("client", 1, kernel);
        if (id == 3) kernel_on_buffer_size(64 + draw(&seed) % 2, kernel);
        if (id == 4) kernel_on_freewheel(0, kernel);
        if (id == 5) kernel_on_xrun(kernel);
        if (id == 6) kernel_on_property_change((1ull << 32) + id, "", 2, kernel);
        if (number % 64 == 0) usleep(100);
    }
    return NULL;
}

/* ---- what the daemon does */

/* Connections carry a number that only grows; one is missing only where an overflow was told. */
static long read_ring(uint32_t *expected)
{
    uint64_t head = atomic_load(&shared->head), tail = atomic_load(&shared->tail);
    long records = (long)(head - tail);
    for (; tail < head; tail++) {
        struct record *r = &shared->ring[tail % RING_RECORDS];
        if (r->name[sizeof r->name - 1]) fail("a name without an end", r->event);
        if ((r->event == EVENT_ALIAS) != !strcmp(r->name, "alias")) fail("a torn name", r->event);
        if ((r->event == EVENT_SHUTDOWN) != !strcmp(r->name, "the end")) fail("a torn end", r->event);
        if (r->event != EVENT_CONNECTION) continue;
        if (r->b != r->a + 1 || r->on != (int)(r->a & 1)) fail("a torn record", r->a);
        if (r->a < *expected) fail("out of order", r->a);
        if (r->a > *expected && !atomic_load(&shared->overflow)) fail("lost and not told", r->a);
        *expected = r->a + 1;
    }
    atomic_store(&shared->tail, head);
    return records;
}

static void *daemon_side(void *result)
{
    unsigned seed = 3;
    uint32_t expected = 0;
    long records = 0;
    float gain[CELLS];
    struct bus bus[MAX_BUSES] = {{0}};
    for (int round = 0; !atomic_load(&stop); round++) {
        for (int s = 0; s < CELLS; s++) gain[s] = (float)(round % 5);
        bus[0] = (struct bus){(uint32_t)round, round % 3 ? 0 : 100, round % 2 ? 0xFFFF : 0, 0, 0.999, 1.1};
        publish_targets(shared, gain, CELLS, bus);
        records += read_ring(&expected);
        usleep(draw(&seed) % 50);
    }
    *(long *)result = records;
    return NULL;
}

/* ---- what the host's request thread does */

/* Every plan gives each of its outputs the same number of cells, one frame of fade, and starts at the target. */
static void set_plan(unsigned *seed, uint32_t serial, void **ports)
{
    struct cell cell[CELLS];
    struct midi midi = {ports[0], ports[PORTS], 0, 0, draw(seed) % 3 ? 1 : serial, 0};
    struct plan plan = {.serial = serial, .inputs = 1 + draw(seed) % PORTS, .outputs = draw(seed) % (PORTS + 1),
                        .midis = draw(seed) % 2, .in_port = ports, .out_port = ports + PORTS, .cell = cell, .midi = &midi};
    for (uint32_t o = 0; o < plan.outputs; o++)
        for (uint32_t i = 0; i < plan.inputs; i++)
            cell[plan.cells++] = (struct cell){i, o, o * PORTS + i, 1, 1, AT_TARGET, draw(seed) % 3 ? serial : 1};
    if (kernel_set_plan(kernel, &plan)) fail("plan", serial);
}

int main(void)
{
    unsigned seed = 7;
    long records = 0;
    void *ports[2 * PORTS];
    struct libjack jack = {get_buffer, port_by_id, port_name, port_flags, port_type, port_aliases,
                           midi_count, midi_get, midi_clear, midi_reserve};
    pthread_t thread[3];

    if (posix_memalign((void **)&shared, 4096, sizeof *shared)) fail("memory", 0);
    *shared = (struct shared){.sample_rate = 48000};
    shared_init(shared);
    int fd = eventfd(0, EFD_NONBLOCK);
    kernel = kernel_new(shared, fd, &jack);
    for (int p = 0; p < 2 * PORTS; p++) ports[p] = &buffer[p];
    pthread_create(&thread[0], NULL, realtime, NULL);
    pthread_create(&thread[1], NULL, notifications, NULL);
    pthread_create(&thread[2], NULL, daemon_side, &records);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        set_plan(&seed, round, ports);
        if (round % 2) while (!kernel_settled(kernel)) usleep(10);
        else usleep(draw(&seed) % 60);
    }
    atomic_store(&stop, 1);
    for (int t = 0; t < 3; t++) pthread_join(thread[t], NULL);
    kernel_free(kernel);
    close(fd);
    if (!records || !shared->windows || !cycles || !midi_on || !midi_off) fail("a thread that did nothing", records);
    if (torn) fail("cycles with gains of two moments", torn);
    if (shared->cycles != (uint64_t)cycles) fail("cycles not counted", cycles - (long)shared->cycles);
    printf("cycles %ld windows %ld records %ld\n", cycles, (long)shared->windows, records);
    free(shared);
    return 0;
}
