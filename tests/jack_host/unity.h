/* A bus at unity between buffers, without a server: a port is the address of a buffer, as get_buffer() gives it. */
#ifndef JACKD_ROUTER_UNITY_H
#define JACKD_ROUTER_UNITY_H

#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64, MOST_FRAMES = 1024 };

static float in[MOST][MOST_FRAMES] __attribute__((aligned(4096))), out[MOST][MOST_FRAMES] __attribute__((aligned(4096)));

static void *get_buffer(void *port, uint32_t frames) { (void)frames; return port; }

static void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static struct shared *shared_of_a_daemon(void)
{
    struct shared *s = aligned_alloc(4096, (sizeof *s + 4095) / 4096 * 4096);
    if (!s) fail("no memory");
    *s = (struct shared){.sample_rate = 48000};
    shared_init(s);
    return s;
}

/* As Python plans it: one cell a channel, meters on all inputs and outputs. */
static void plan_unity(struct kernel *k, struct shared *s, uint32_t channels)
{
    void *inputs[MOST], *outputs[MOST];
    struct cell cell[MOST];
    float gain[MOST];
    for (uint32_t c = 0; c < channels; c++) {
        inputs[c] = in[c];
        outputs[c] = out[c];
        cell[c] = (struct cell){.in = c, .out = c, .slot = c, .fade_frames = 480, .start = AT_TARGET, .owner = 1};
        gain[c] = 1;
    }
    struct plan plan = {.serial = 1, .inputs = channels, .outputs = channels, .cells = channels,
                        .in_port = inputs, .out_port = outputs, .cell = cell};
    publish_targets(s, gain, channels, (struct bus[MAX_BUSES]){{0}});
    if (kernel_set_plan(k, &plan)) fail("no plan");
}

#endif
