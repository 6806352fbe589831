/* Arithmetic on blocks of samples. */
#ifndef JACKD_ROUTER_SOUND_H
#define JACKD_ROUTER_SOUND_H

#include "kernel.h"

/* A gain on its way to `target`: it is now gain - step * left. Each frame takes one off `left` and multiplies `gain` by
 * `factor`: a fade in amplitude has the factor 1, one in dB a step that only makes up for where it began. In double: in float
 * the steps would be uneven by the last bits, and a minute of a fade in dB would end 3 % beside. */
struct ramp { float target; uint32_t left; double gain, step, factor; };

/* out[0..n) = sum over c of gain[c] * in[which[c]][0..n); four inputs at a time, so that `out` is seldom read. */
void sound_mix(float *out, const float *const *in, const uint32_t *which, const float *gain, uint32_t cells, uint32_t n);

/* Adds one input under a gain on its way, and takes the way. */
void sound_add_ramped(float *out, const float *x, struct ramp *, uint32_t n);

/* Peak and sum of squares of a block. A NaN never becomes the peak. */
struct level sound_measure(const float *x, uint32_t n);

/* out[0..n) = x[0..n), bit for bit, and what sound_measure(x) gives: in one pass, which waits only once for a block that
 * another CPU has written, or another program wants to read. */
struct level sound_copy(float *out, const float *x, uint32_t n);

/* 1: sound_await() may be called. x86 with AVX2 knows its prefetchw, or passes over it; older ones might not. */
int sound_can_await(void);

/* Asks for the blocks that are read and written next (`out`: or NULL), and does not wait for them. Whoever has a block on
 * another CPU is asked for it to be written: to ask twice, first to read, takes longer than not to ask. */
static inline void sound_await(const float *in, float *out, uint32_t n)
{
    if (!out)
        for (uint32_t f = 0; f < n; f += 16) __builtin_prefetch(in + f);
    else
        for (uint32_t f = 0; f < n; f += 16) {
            __builtin_prefetch(in + f);
#if defined(__x86_64__)
            __asm__ volatile("prefetchw %0" : : "m"(out[f]));   /* without -mprfchw the compiler would ask to read */
#else
            __builtin_prefetch(out + f, 1);
#endif
        }
}

/* Decaying reverb tails reach numbers that cost a hundred times as much; unity gain is a copy and keeps them. */
void sound_no_denormals(void);

#endif
