/* See kernel.h. The order here: memory, processing of sound, one cycle, notifications, hand-over of plans. */
#define _GNU_SOURCE
#include "kernel.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Frames per pass when many cells share the inputs: those stay in the first-level cache. */
#define DENSE 128

/* The loader picks the clone for this CPU. Not under TSan, which instruments the resolver and crashes at load;
 * a comma in the string would make one more clone. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(NO_CLONES)
#define SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SIMD
#endif

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* A gain on its way to `target`: it is target - step * left now, and each frame takes one off `left`. */
struct ramp { float target, step; uint32_t left; };

/* A plan lies in pages of its own, which Python never sees: no garbage collector can pull them away. */
struct plan {
    struct plan *older;
    size_t bytes;
    uint32_t serial, inputs, outputs, cells;
    void **in_port, **out_port;
    struct cell *cell;
};

struct kernel {
    struct shared *shared;
    struct libjack jack;
    void *client;
    int eventfd;
    char alias[2][640];                               /* of the notification thread */

    _Atomic(struct plan *) wanted, running;           /* handed over by the request thread; used by the realtime thread */
    struct plan *retired;                             /* request thread: replaced, perhaps still in use */

    /* realtime thread only */
    uint32_t reading;                                 /* which of shared->targets is ours */
    int changed, moving;                              /* the steady cells must be listed anew; some cell ramps */
    uint32_t window_frames;
    struct window window;
    struct ramp ramp[MAX_CELLS];                      /* by slot */
    uint32_t steady_in[MAX_CELLS], steady_end[MAX_PORTS];   /* the steady cells of output o end at steady_end[o] */
    float steady_gain[MAX_CELLS];
    const float *in[MAX_PORTS];
    float *out[MAX_PORTS];
    struct level in_level[MAX_PORTS], level[2 * MAX_PORTS];
};

#define NEW 4u    /* in shared->ready: the realtime thread has not seen this one yet */

static void *pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    (void)!mlock(p, bytes);                           /* best effort: RLIMIT_MEMLOCK may forbid it */
    return p;
}

size_t shared_size(void) { return sizeof(struct shared); }

void shared_init(struct shared *s)
{
    s->writing = 0;
    atomic_store(&s->ready, 1);                       /* 2 is the realtime thread's */
}

struct kernel *kernel_new(struct shared *shared, int eventfd, const struct libjack *jack)
{
    struct kernel *k = pages(sizeof *k);
    if (!k) return NULL;
    *k = (struct kernel){.shared = shared, .jack = *jack, .eventfd = eventfd, .reading = 2};
    /* What the realtime thread touches of the shared memory must not fault: the ring of records stays lazy. */
    size_t bytes = offsetof(struct shared, ring);
    (void)!madvise(shared, bytes, MADV_POPULATE_WRITE);
    (void)!mlock(shared, bytes);
    return k;
}

static void drop(struct plan *p)
{
    while (p) {
        struct plan *older = p->older;
        munmap(p, p->bytes);
        p = older;
    }
}

void kernel_free(struct kernel *k)
{
    drop(k->retired);
    drop(atomic_load(&k->wanted));
    munmap(k, sizeof *k);
}

void kernel_set_client(struct kernel *k, void *client) { k->client = client; }

/* ---- processing of sound ------------------------------------------------------------------------------------ */

/* out[0..n) = sum over c of gain[c] * in[which[c]][0..n); four inputs at a time, so that `out` is seldom read. */
SIMD static void mix(float *restrict out, const float *const *in, const uint32_t *which, const float *gain,
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

SIMD static void add_ramped(float *restrict out, const float *restrict x, struct ramp r, uint32_t n)
{
    uint32_t m = r.left < n ? r.left : n;
    for (uint32_t f = 0; f < m; f++) out[f] += (r.target - r.step * (float)(int32_t)(r.left - 1 - f)) * x[f];
    if (r.target != 0)                                /* silence is exact, whatever the input holds */
        for (uint32_t f = m; f < n; f++) out[f] += r.target * x[f];
}

/* Peak and sum of squares of a block. A NaN never becomes the peak. */
SIMD static struct level measure(const float *x, uint32_t n)
{
    float peak = 0, sum = 0;
    #pragma omp simd reduction(max : peak) reduction(+ : sum)
    for (uint32_t f = 0; f < n; f++) {
        float a = __builtin_fabsf(x[f]);
        peak = a > peak ? a : peak;
        sum += x[f] * x[f];
    }
    return (struct level){peak, sum};
}

static void add_level(struct level *to, struct level l)
{
    if (l.peak > to->peak) to->peak = l.peak;
    to->sumsq += l.sumsq;
}

/* Decaying reverb tails reach numbers that cost a hundred times as much; unity gain is a copy and keeps them. */
static void no_denormals(void)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
    uint64_t r;
    __asm__ volatile("mrs %0, fpcr" : "=r"(r));
    __asm__ volatile("msr fpcr, %0" : : "r"(r | 1u << 24));
#endif
}

/* ---- one cycle ------------------------------------------------------------------------------------------------ */

/* Cells that the last plan did not have begin here; the others go on from where they are. */
static void start_cells(struct kernel *k, const struct plan *p)
{
    const float *target = k->shared->targets[k->reading];
    for (uint32_t c = 0; c < p->cells; c++) {
        const struct cell *cell = &p->cell[c];
        struct ramp *r = &k->ramp[cell->slot];
        if (cell->start == AT_TARGET) *r = (struct ramp){target[cell->slot], 0, 0};
        else if (cell->start == FROM_SILENCE) *r = (struct ramp){0, 0, 0};
    }
}

static void turn_to_targets(struct kernel *k, const struct plan *p)
{
    const float *target = k->shared->targets[k->reading];
    for (uint32_t c = 0; c < p->cells; c++) {
        const struct cell *cell = &p->cell[c];
        struct ramp *r = &k->ramp[cell->slot];
        float to = target[cell->slot];
        if (to == r->target) continue;
        float now = r->target - r->step * (float)(int32_t)r->left;
        *r = (struct ramp){to, (to - now) / (float)(int32_t)cell->fade_frames, cell->fade_frames};
    }
}

/* Lists the steady cells of each output; the ramping ones stay where they are in the plan. */
static void list_steady(struct kernel *k, const struct plan *p)
{
    uint32_t c = 0, s = 0;
    k->moving = 0;
    for (uint32_t o = 0; o < p->outputs; o++) {
        for (; c < p->cells && p->cell[c].out == o; c++) {
            const struct ramp *r = &k->ramp[p->cell[c].slot];
            if (r->left) k->moving = 1;
            else if (r->target != 0) {
                k->steady_gain[s] = r->target;
                k->steady_in[s++] = p->cell[c].in;
            }
        }
        k->steady_end[o] = s;
    }
}

static struct level run_output(struct kernel *k, const struct plan *p, uint32_t o, uint32_t first, uint32_t *c, uint32_t n)
{
    float *out = k->out[o];
    const uint32_t *which = k->steady_in + first;
    const float *gain = k->steady_gain + first;
    uint32_t cells = k->steady_end[o] - first;
    int ramped = 0;

    if (cells == 0) memset(out, 0, n * sizeof *out);
    else if (cells == 1 && *gain == 1) memcpy(out, k->in[*which], n * sizeof *out);   /* bit-exact, NaNs and all */
    else mix(out, (const float *const *)k->in, which, gain, cells, n);
    for (; k->moving && *c < p->cells && p->cell[*c].out == o; ++*c) {
        struct ramp *r = &k->ramp[p->cell[*c].slot];
        if (!r->left) continue;
        add_ramped(out, k->in[p->cell[*c].in], *r, n);
        r->left -= r->left < n ? r->left : n;
        ramped = 1;
    }
    if (ramped || cells > 1) return measure(out, n);
    if (cells == 0) return (struct level){0, 0};
    struct level l = k->in_level[*which];             /* measured already */
    return (struct level){l.peak * __builtin_fabsf(*gain), l.sumsq * *gain * *gain};
}

static void run(struct kernel *k, const struct plan *p, uint32_t n)
{
    if (k->changed || k->moving) list_steady(k, p);
    k->changed = 0;
    for (uint32_t i = 0; i < p->inputs; i++) add_level(&k->level[i], k->in_level[i] = measure(k->in[i], n));
    uint32_t c = 0, first = 0;
    for (uint32_t o = 0; o < p->outputs; o++) {
        add_level(&k->level[p->inputs + o], run_output(k, p, o, first, &c, n));
        first = k->steady_end[o];
        k->out[o] += n;
    }
    for (uint32_t i = 0; i < p->inputs; i++) k->in[i] += n;
}

/* Gives the levels of the last 10 ms or more to the daemon and begins anew. */
static void close_window(struct kernel *k, const struct plan *p)
{
    struct shared *s = k->shared;
    uint64_t number = atomic_load_explicit(&s->windows, memory_order_relaxed);
    uint32_t ports = p->inputs + p->outputs;
    memcpy(s->level[number % METER_WINDOWS], k->level, ports * sizeof *k->level);
    s->window[number % METER_WINDOWS] = (struct window){k->window_frames, p->serial};
    atomic_store_explicit(&s->windows, number + 1, memory_order_release);   /* after what it announces */
    memset(k->level, 0, ports * sizeof *k->level);
    k->window_frames = 0;
}

static void process(struct kernel *k, const struct plan *p, uint32_t n)
{
    /* libjack mixes or clears in get_buffer(): once a cycle, and every input before the first output. */
    for (uint32_t i = 0; i < p->inputs; i++) k->in[i] = k->jack.get_buffer(p->in_port[i], n);
    for (uint32_t o = 0; o < p->outputs; o++) k->out[o] = k->jack.get_buffer(p->out_port[o], n);
    uint32_t step = p->cells > 4 * p->outputs ? DENSE : n;
    for (uint32_t f = 0; f < n; f += step) run(k, p, n - f < step ? n - f : step);
    k->window_frames += n;
    if (k->window_frames * 100 >= atomic_load_explicit(&k->shared->sample_rate, memory_order_relaxed)) close_window(k, p);
}

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One writer: a plain load and a plain store, which only must not tear. */
static void add(_Atomic uint64_t *to, uint64_t amount)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + amount, memory_order_relaxed);
}

int kernel_on_process(uint32_t n, void *arg)
{
    struct kernel *k = arg;
    struct shared *s = k->shared;
    uint64_t start = nanoseconds(CLOCK_MONOTONIC);
    no_denormals();
    /* The plan first: the daemon publishes the targets of new cells before it hands over the plan that has them. */
    struct plan *p = atomic_load_explicit(&k->wanted, memory_order_acquire);
    int new_targets = (atomic_load_explicit(&s->ready, memory_order_relaxed) & NEW) != 0;
    if (new_targets) k->reading = atomic_exchange_explicit(&s->ready, k->reading, memory_order_acq_rel) & 3;
    if (p != atomic_load_explicit(&k->running, memory_order_relaxed)) {
        start_cells(k, p);
        memset(k->level, 0, sizeof k->level);
        k->window_frames = 0;
        k->changed = 1;
    }
    if (p && (new_targets || k->changed)) {
        turn_to_targets(k, p);
        k->changed = 1;
    }
    if (p) process(k, p, n);
    atomic_store_explicit(&k->running, p, memory_order_release);   /* from here on no older plan is looked at */
    uint64_t busy = nanoseconds(CLOCK_MONOTONIC) - start;
    add(&s->cycles, 1);
    add(&s->busy_ns, busy);
    if (busy > atomic_load_explicit(&s->max_ns, memory_order_relaxed)) atomic_store_explicit(&s->max_ns, busy, memory_order_relaxed);
    return 0;
}

/* ---- notifications: one thread of libjack's, and no request to the server ------------------------------------- */

static void wake(const struct kernel *k)
{
    uint64_t one = 1;
    (void)!write(k->eventfd, &one, sizeof one);
}

/* strncpy on purpose: it fills the rest with zeros. What an earlier use of the slot left there once corrupted names. */
static void copy_text(char *to, const char *from, size_t size)
{
    strncpy(to, from ? from : "", size - 1);
    to[size - 1] = 0;
}

static void append(struct kernel *k, struct record r, const char *type, const char *name)
{
    struct shared *s = k->shared;
    uint64_t head = atomic_load_explicit(&s->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&s->tail, memory_order_acquire) >= RING_RECORDS) {
        atomic_store(&s->overflow, 1);
        return;
    }
    struct record *to = &s->ring[head % RING_RECORDS];
    r.usec = nanoseconds(CLOCK_MONOTONIC) / 1000;
    memcpy(to, &r, offsetof(struct record, type));
    copy_text(to->type, type, sizeof to->type);
    copy_text(to->name, name, sizeof to->name);
    atomic_store_explicit(&s->head, head + 1, memory_order_release);
}

void kernel_on_port_registration(uint32_t id, int registered, void *arg)
{
    struct kernel *k = arg;
    /* Read now, from shared memory: when the port is gone its slot in the server's table is wiped or used again. */
    void *port = registered ? k->jack.port_by_id(k->client, id) : NULL;
    struct record r = {.event = EVENT_PORT, .a = id, .on = registered};
    if (port) {
        r.flags = (uint64_t)k->jack.port_flags(port);
        append(k, r, k->jack.port_type(port), k->jack.port_name(port));
        int aliases = k->jack.port_aliases(port, (char *const[]){k->alias[0], k->alias[1]});
        for (int i = 0; i < aliases && i < 2; i++) append(k, (struct record){.event = EVENT_ALIAS, .a = id}, "", k->alias[i]);
    } else if (!registered) {
        append(k, r, "", "");
    }                                                 /* else: gone again already, and its end will be told */
    wake(k);
}

void kernel_on_port_connect(uint32_t source, uint32_t destination, int connected, void *arg)
{
    append(arg, (struct record){.event = EVENT_CONNECTION, .a = source, .b = destination, .on = connected}, "", "");
    wake(arg);
}

void kernel_on_client_registration(const char *name, int registered, void *arg)
{
    append(arg, (struct record){.event = EVENT_CLIENT, .on = registered}, "", name);
    wake(arg);
}

int kernel_on_port_rename(uint32_t id, const char *before, const char *now, void *arg)
{
    (void)before;
    append(arg, (struct record){.event = EVENT_RENAME, .a = id, .on = 1}, "", now);
    wake(arg);
    return 0;
}

void kernel_on_info_shutdown(int code, const char *reason, void *arg)
{
    append(arg, (struct record){.event = EVENT_SHUTDOWN, .a = (uint32_t)code}, "", reason);
    wake(arg);
}

/* One key that the daemon reads, or all keys at once: JACK2 says "" then, jack/metadata.h NULL. */
static int is_read(const char *key)
{
    return !key || !*key || !strcmp(key, "http://jackaudio.org/metadata/pretty-name")
        || !strcmp(key, "http://jackaudio.org/metadata/signal-type");
}

/* Only that there is something to read, not what: that lies in a database, where a reader may be kept waiting. */
void kernel_on_property_change(uint64_t subject, const char *key, int change, void *arg)
{
    (void)change;
    struct kernel *k = arg;
    atomic_store_explicit(&k->shared->last_property_usec, nanoseconds(CLOCK_MONOTONIC) / 1000, memory_order_relaxed);
    int of_everybody = !subject, of_a_port = subject >> 32 == 1;      /* 2: of a client */
    if (!is_read(key) || !(of_everybody || of_a_port)) return;
    append(k, (struct record){.event = EVENT_PROPERTY, .a = of_a_port ? (uint32_t)subject - 1 : 0, .on = of_a_port}, "", "");
    wake(k);
}

void kernel_on_shutdown(void *arg) { kernel_on_info_shutdown(0, "the server shut down", arg); }

/* Not in the ring, which has one writer: libjack calls these on other threads as well. */
int kernel_on_buffer_size(uint32_t frames, void *arg)
{
    struct kernel *k = arg;
    if (atomic_exchange(&k->shared->buffer_size, frames) != frames) wake(k);
    return 0;
}

int kernel_on_sample_rate(uint32_t hz, void *arg)
{
    struct kernel *k = arg;
    if (atomic_exchange(&k->shared->sample_rate, hz) != hz) wake(k);
    return 0;
}

void kernel_on_freewheel(int starting, void *arg)
{
    struct kernel *k = arg;
    atomic_store(&k->shared->freewheeling, starting != 0);
    wake(k);
}

/* No wake-up: a server in trouble has enough to do, and the daemon looks once a second. */
int kernel_on_xrun(void *arg)
{
    struct kernel *k = arg;
    add(&k->shared->xruns, 1);
    atomic_store_explicit(&k->shared->last_xrun_usec, nanoseconds(CLOCK_REALTIME) / 1000, memory_order_relaxed);
    return 0;
}

/* Kept natively: libjack has messages on the thread that close() cancels, and Python there would keep its lock for ever.
 * Two at once may mix their letters; the text is for people. */
static char last_message[512];

void kernel_on_error_message(const char *message) { copy_text(last_message, message, sizeof last_message); }

void kernel_on_info_message(const char *message) { (void)message; }

const char *kernel_last_message(void) { return last_message; }

/* ---- hand-over of gains and plans ------------------------------------------------------------------------------ */

/* A triple buffer: one is written here, one is read by the realtime thread, and `ready` is the third. The exchange
 * releases what was written and acquires what the realtime thread has left: nobody waits, nothing tears. */
void publish_targets(struct shared *s, const float *targets, uint32_t slots)
{
    memcpy(s->targets[s->writing], targets, (slots < MAX_CELLS ? slots : MAX_CELLS) * sizeof *targets);
    s->writing = atomic_exchange_explicit(&s->ready, s->writing | NEW, memory_order_acq_rel) & 3;
}

/* What the daemon does with the ring: Python's own loads and stores have no order on every CPU. */
uint64_t ring_head(struct shared *s) { return atomic_load_explicit(&s->head, memory_order_acquire); }

void ring_release(struct shared *s, uint64_t tail) { atomic_store_explicit(&s->tail, tail, memory_order_release); }

static void *take(char **from, const void *content, size_t bytes)
{
    void *p = *from;
    if (bytes) memcpy(p, content, bytes);
    *from += (bytes + 63) / 64 * 64;
    return p;
}

int kernel_set_plan(struct kernel *k, uint32_t serial, uint32_t inputs, void *const *in_ports, uint32_t outputs,
                    void *const *out_ports, uint32_t cells, const struct cell *cell)
{
    if (inputs > MAX_PORTS || outputs > MAX_PORTS || cells > MAX_CELLS) return -1;
    size_t bytes = sizeof(struct plan) + 4 * 64 + (inputs + outputs) * sizeof(void *) + cells * sizeof *cell;
    char *to = pages(bytes);
    if (!to) return -1;
    struct plan head = {.bytes = bytes, .serial = serial, .inputs = inputs, .outputs = outputs, .cells = cells};
    struct plan *p = take(&to, &head, sizeof head);
    p->in_port = take(&to, in_ports, inputs * sizeof(void *));
    p->out_port = take(&to, out_ports, outputs * sizeof(void *));
    p->cell = take(&to, cell, cells * sizeof *cell);
    kernel_settled(k);
    struct plan *old = atomic_exchange(&k->wanted, p);
    if (old) {
        old->older = k->retired;
        k->retired = old;
    }
    return 0;
}

int kernel_settled(struct kernel *k)
{
    if (atomic_load(&k->running) != atomic_load(&k->wanted)) return 0;
    drop(k->retired);
    k->retired = NULL;
    return 1;
}
