/* instructions CHANNELS FRAMES CYCLES: cycles of the kernel without a server, for callgrind to count.
 *
 * A bus of so many channels at unity, as Python plans it: one cell a channel, meters on all inputs and outputs. Only
 * the cycles are counted, not what led to them: the plan is taken, and meter windows of 10 ms have been closed.
 */
#include "unity.h"

#include <string.h>
#include <sys/eventfd.h>
#include <valgrind/callgrind.h>

enum { WARM_WINDOWS = 8 };

/* Some sound, of which no sample is a denormal: how often a peak rises must not depend on chance either. */
static void fill(uint32_t channels)
{
    for (uint32_t c = 0; c < channels; c++)
        for (uint32_t f = 0; f < MOST_FRAMES; f++) in[c][f] = (float)((f * 37 + c) % 101) / 101 - 0.5f;
}

/* That it was a bus that was counted: the sound arrived whole, and every meter moved. */
static void check(const struct shared *s, uint32_t channels, uint32_t frames, uint64_t windows)
{
    for (uint32_t c = 0; c < channels; c++)
        if (memcmp(in[c], out[c], frames * sizeof(float))) fail("not what came in");
    if (s->windows != windows) fail("meter windows are missing");
    const struct level *level = s->level[(windows - 1) % METER_WINDOWS];
    for (uint32_t p = 0; p < 2 * channels; p++)
        if (level[p].peak < 0.4f || level[p].sumsq < 1) fail("a meter stands still");
}

int main(int argc, char **argv)
{
    if (argc != 4) fail("usage: instructions CHANNELS FRAMES CYCLES");
    uint32_t channels = (uint32_t)atoi(argv[1]), frames = (uint32_t)atoi(argv[2]), cycles = (uint32_t)atoi(argv[3]);
    if (channels > MOST || frames > MOST_FRAMES) fail("too many channels or frames");
    struct libjack jack = {.get_buffer = get_buffer};
    struct shared *s = shared_of_a_daemon();
    struct kernel *k = kernel_new(s, eventfd(0, EFD_NONBLOCK), &jack);
    fill(channels);
    plan_unity(k, s, channels);
    uint32_t window_cycles = (480 + frames - 1) / frames;
    for (uint32_t i = 0; i < WARM_WINDOWS * window_cycles; i++) kernel_on_process(frames, k);
    CALLGRIND_TOGGLE_COLLECT;
    for (uint32_t i = 0; i < cycles; i++) kernel_on_process(frames, k);
    CALLGRIND_TOGGLE_COLLECT;
    check(s, channels, frames, WARM_WINDOWS + cycles / window_cycles);
    kernel_free(k);
    free(s);
}
