/* cold CHANNELS FRAMES CYCLES MEGABYTES: how long a cycle takes of which the caches hold little or nothing, in nanoseconds.
 *
 * As on a server whose clients run on other CPUs and sleep between periods: before each cycle a thread on another CPU reads
 * what came out and writes what goes in, and so much other memory is read. In turn one cycle of the kernel, as a bus at unity,
 * and one memcpy a channel, which is the least that any client does. Prints the medians of both: "MEMCPY KERNEL".
 */
#define _GNU_SOURCE
#include "unity.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

enum { LINE = 64 };

static uint32_t channels, frames;
static _Atomic uint32_t turn;    /* odd: the other thread's; END: nobody's */
static volatile float heard;
static const uint32_t END = UINT32_MAX;

static void run_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) fail("this needs two CPUs");
}

static void *play_and_hear(void *unused)
{
    (void)unused;
    run_on(1);
    for (uint32_t now; (now = turn) != END;) {
        if (now % 2 == 0) continue;
        float sum = 0;
        for (uint32_t c = 0; c < channels; c++)
            for (uint32_t f = 0; f < frames; f++) {
                sum += out[c][f];
                in[c][f] = (float)((f * 37 + c + now) % 101) / 101 - 0.5f;
            }
        heard = sum;
        turn = now + 1;
    }
    return NULL;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void copy_all(void)
{
    for (uint32_t c = 0; c < channels; c++) memcpy(get_buffer(out[c], frames), get_buffer(in[c], frames), frames * sizeof(float));
}

static struct kernel *bus_at_unity(void)
{
    static const struct libjack jack = {.get_buffer = get_buffer};
    struct shared *s = shared_of_a_daemon();
    struct kernel *k = kernel_new(s, eventfd(0, EFD_NONBLOCK), &jack);
    if (!k) fail("no memory");
    plan_unity(k, s, channels);
    return k;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 5) fail("usage: cold CHANNELS FRAMES CYCLES MEGABYTES");
    channels = (uint32_t)atoi(argv[1]), frames = (uint32_t)atoi(argv[2]);
    size_t cycles = (size_t)atoi(argv[3]), bytes = (size_t)atoi(argv[4]) << 20;
    if (channels > MOST || frames > MOST_FRAMES) fail("too many channels or frames");
    struct kernel *k = bus_at_unity();
    volatile char *other = calloc(1, bytes);
    double *took[2] = {calloc(cycles, sizeof(double)), calloc(cycles, sizeof(double))};
    pthread_t thread;
    if (!other || !took[0] || !took[1] || pthread_create(&thread, NULL, play_and_hear, NULL)) fail("no memory");
    run_on(0);
    for (size_t cycle = 0; cycle < 2 * cycles; cycle++) {
        turn++;
        while (turn % 2) {}
        for (size_t b = 0; b < bytes; b += LINE) other[b]++;
        double began = now_ns();
        if (cycle % 2) kernel_on_process(frames, k);
        else copy_all();
        took[cycle % 2][cycle / 2] = now_ns() - began;
        if (cycle % 2 && memcmp(in[channels - 1], out[channels - 1], frames * sizeof(float))) fail("not what came in");
    }
    turn = END;
    pthread_join(thread, NULL);
    for (int w = 0; w < 2; w++) qsort(took[w], cycles, sizeof(double), ascending);
    printf("%.0f %.0f\n", took[0][cycles / 2], took[1][cycles / 2]);
    return 0;
}
