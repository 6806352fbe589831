/* See sound.h. Plain loops: what vectors of the compiler's own were faster with AVX-512 took 10 times as long without. */
#include "sound.h"

#include <string.h>

/* The loader picks the clone for this CPU. Not under TSan, which instruments the resolver and crashes at load;
 * a comma in the string would make one more clone. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(NO_CLONES)
#define SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SIMD
#endif

SIMD void sound_mix(float *restrict out, const float *const *in, const uint32_t *which, const float *gain,
                     uint32_t cells, uint32_t n)
{
    uint32_t c = cells % 4;
    const float *w = in[which[0]];
    float g = gain[0];
    if (c == 0) memset(out, 0, n * sizeof *out);
    else for (uint32_t f = 0; f < n; f++) out[f] = g * w[f];
    for (uint32_t d = 1; d < c; d++) {
        w = in[which[d]];
        g = gain[d];
        for (uint32_t f = 0; f < n; f++) out[f] += g * w[f];
    }
    for (; c < cells; c += 4) {
        const float *x = in[which[c + 1]], *y = in[which[c + 2]], *z = in[which[c + 3]];
        const float h = gain[c + 1], i = gain[c + 2], j = gain[c + 3];
        w = in[which[c]];
        g = gain[c];
        for (uint32_t f = 0; f < n; f++) out[f] += g * w[f] + h * x[f] + i * y[f] + j * z[f];
    }
}

SIMD void sound_add_ramped(float *restrict out, const float *restrict x, struct ramp *r, uint32_t n)
{
    float target = r->target;
    uint32_t m = r->left < n ? r->left : n, last = m && m == r->left && target == 0 ? m - 1 : m;
    double gain = r->gain, step = r->step;
    if (r->factor == 1) {
        for (uint32_t f = 0; f < last; f++) out[f] += (float)(gain - step * (double)(int32_t)(r->left - 1 - f)) * x[f];
    } else {
        for (uint32_t f = 0; f < last; f++) {
            uint32_t left = r->left - 1 - f;
            gain *= r->factor;
            out[f] += (left ? (float)(gain - step * left) : target) * x[f];
        }
        r->gain = gain;
    }
    r->left -= m;
    if (target != 0)                                  /* silence is exact, whatever the input holds: the last frame, too */
        for (uint32_t f = m; f < n; f++) out[f] += target * x[f];
}

/* The arithmetic of the 8087 would change some NaNs on the way through its registers. */
#if !defined(__clang__) && !(defined(__i386__) && !defined(__SSE2_MATH__))
static inline __attribute__((always_inline)) struct level measure(float *restrict out, const float *restrict x, uint32_t n)
{
    float peak = 0, sum = 0;
    #pragma omp simd reduction(max : peak) reduction(+ : sum)
    for (uint32_t f = 0; f < n; f++) {
        float a = __builtin_fabsf(x[f]);
        peak = a > peak ? a : peak;
        sum += x[f] * x[f];
        if (out) memcpy(&out[f], &x[f], sizeof *x);
    }
    return (struct level){peak, sum};
}

SIMD struct level sound_measure(const float *x, uint32_t n) { return measure(NULL, x, n); }

SIMD struct level sound_copy(float *restrict out, const float *restrict x, uint32_t n) { return measure(out, x, n); }
#else
static float peak_beside_nans(const float *x, uint32_t n)
{
    float peak = 0;
    for (uint32_t f = 0; f < n; f++) peak = __builtin_fabsf(x[f]) > peak ? __builtin_fabsf(x[f]) : peak;
    return peak;
}

/* clang makes no vectors of a maximum of floats, and its scalar loop took 4 times as long and summed up more of rounding. Bits
 * without their sign are in the order of the numbers, and NaNs above them all. To gcc this is the slower one without AVX. */
struct level sound_measure(const float *x, uint32_t n)
{
    const int32_t infinity = 0x7f800000;
    int32_t peak = 0;
    float sum = 0;
    #pragma omp simd reduction(max : peak) reduction(+ : sum)
    for (uint32_t f = 0; f < n; f++) {
        int32_t bits;
        memcpy(&bits, &x[f], sizeof bits);
        bits &= 0x7fffffff;
        peak = bits > peak ? bits : peak;
        sum += x[f] * x[f];
    }
    struct level l = {0, sum};
    if (peak > infinity) l.peak = peak_beside_nans(x, n);
    else memcpy(&l.peak, &peak, sizeof peak);
    return l;
}

struct level sound_copy(float *restrict out, const float *restrict x, uint32_t n)
{
    memcpy(out, x, n * sizeof *out);
    return sound_measure(x, n);
}
#endif

int sound_can_await(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") != 0;
#else
    return 1;
#endif
}

void sound_no_denormals(void)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
    uint64_t r;
    __asm__ volatile("mrs %0, fpcr" : "=r"(r));
    __asm__ volatile("msr fpcr, %0" : : "r"(r | 1u << 24));
#endif
}
