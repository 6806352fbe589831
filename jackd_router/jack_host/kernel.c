/* See kernel.h. The order here: memory, one cycle, hand-over of gains and plans. */
#define _GNU_SOURCE
#include "kernel.h"
#include "midi.h"
#include "notifications.h"
#include "sound.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Not in the way of the cycle that most buses have nearly always: unity, no gain on its way. */
#define APART __attribute__((noinline))
#define RARE __attribute__((noinline, cold))

/* Frames per pass when many cells share the inputs: those stay in the first-level cache. */
#define DENSE 128
/* Frames of the next channel that are asked for while this one is copied. */
#define MOST_AHEAD 512

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* A plan lies in pages of its own, which Python never sees: no garbage collector can pull them away. What the realtime
 * thread keeps for it lies beside it. */
struct owned {
    struct owned *older;
    size_t bytes;
    struct plan plan;
    const float **in;                                 /* the buffers of this cycle */
    float **out;
    uint32_t *copied_to;                              /* by input: the first output that has it alone, at unity; or NONE */
    uint32_t *steady_in, *steady_end;                 /* the steady cells of output o end at steady_end[o] */
    float *steady_gain;
    struct level *in_level, *level;                   /* of this pass; of this window, inputs first */
};

struct kernel {
    /* What each cycle needs is together: after an idle moment each line of the cache, and each page, is waited for. */
    struct base base;                                 /* first: a callback gets the kernel as its argument */
    _Atomic(struct owned *) wanted, running;          /* handed over by the request thread; used by the realtime thread */
    struct owned *current;                            /* the plan of the last cycle */
    struct owned *leaving;                            /* one before it, whose ports are needed a little longer */
    uint32_t leaving_cycles;
    uint32_t reading;                                 /* which of shared->targets is ours */
    uint32_t window_frames;
    uint64_t window_closed_ns;                        /* while it freewheels */
    int changed, moving;                              /* the steady cells must be listed anew; some cell ramps */
    int awaits;                                       /* sound_can_await() */

    _Alignas(64) struct owned *retired;               /* request thread: replaced, perhaps still in use */
    _Alignas(64) char alias[2][640];                  /* notification thread */

    /* realtime thread only */
    _Alignas(64) uint32_t seen[MAX_BUSES];            /* the last `number` of each bus */
    struct ramp ramp[MAX_CELLS];                      /* by slot */
    uint32_t owner[MAX_CELLS];                        /* by slot: whose ramp that is */
    void *midi_in[MAX_PORTS];
    struct sounding sounding[MAX_PORTS];              /* by slot of MIDI pairs */
    const struct plan *midi_plan[MAX_PORTS];          /* by slot: the last plan that has a pair there; only to compare */
    uint32_t midi_owner[MAX_PORTS];                   /* by slot: that pair */
};

#define NONE UINT32_MAX
#define NEW 4u    /* in shared->ready: the realtime thread has not seen this one yet */

/* Best effort: RLIMIT_MEMLOCK may forbid it, and sound passes all the same until memory is short. */
static void lock(struct shared *s, const void *p, size_t bytes)
{
    if (mlock(p, bytes)) atomic_store_explicit(&s->unlocked, 1, memory_order_relaxed);
}

static void *pages(struct shared *s, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    lock(s, p, bytes);
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
    struct kernel *k = pages(shared, sizeof *k);
    if (!k) return NULL;
    struct base base = {.shared = shared, .jack = *jack, .eventfd = eventfd};
    base.alias = k->alias;
    *k = (struct kernel){.base = base, .reading = 2, .awaits = sound_can_await()};
    /* What the realtime thread touches of the shared memory must not fault: the ring of records stays lazy. */
    size_t bytes = offsetof(struct shared, ring);
    (void)!madvise(shared, bytes, MADV_POPULATE_WRITE);
    lock(shared, shared, bytes);
    return k;
}

static void drop(struct owned *p)
{
    while (p) {
        struct owned *older = p->older;
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

void kernel_set_client(struct kernel *k, void *client) { k->base.client = client; }

/* ---- one cycle ------------------------------------------------------------------------------------------------ */

static void add_level(struct level *to, struct level l)
{
    if (l.peak > to->peak) to->peak = l.peak;
    to->sumsq += l.sumsq;
}

static struct ramp steady(float gain) { return (struct ramp){.target = gain, .gain = gain, .factor = 1}; }

static struct ramp fade(float now, float to, uint32_t frames)
{
    return (struct ramp){to, frames, to, ((double)to - now) / frames, 1};
}

/* Where it ends in silence there is no end to count from: from the beginning, then. Out of silence it begins at once. */
static struct ramp fade_in_db(float now, float to, const struct bus *bus)
{
    double start = to != 0 ? to * bus->ratio : now, beside = now != 0 ? start - now : 0;
    return (struct ramp){to, bus->frames, start, beside / bus->frames, bus->factor};
}

/* Cells that have not sounded yet begin here; the others go on from where they are. */
RARE static void start_cells(struct kernel *k, const struct plan *p)
{
    const float *gain = k->base.shared->targets[k->reading].gain;
    for (uint32_t c = 0; c < p->cells; c++) {
        const struct cell *cell = &p->cell[c];
        if (k->owner[cell->slot] == cell->owner) continue;
        k->owner[cell->slot] = cell->owner;
        k->ramp[cell->slot] = steady(cell->start == AT_TARGET ? gain[cell->slot] : 0);
    }
}

RARE static void turn_to_targets(struct kernel *k, const struct plan *p)
{
    const struct targets *targets = &k->base.shared->targets[k->reading];
    for (uint32_t c = 0; c < p->cells; c++) {
        const struct cell *cell = &p->cell[c];
        const struct bus *bus = &targets->bus[cell->bus];
        struct ramp *r = &k->ramp[cell->slot];
        float to = targets->gain[cell->slot];
        int anew = bus->number != k->seen[cell->bus];
        if (to == r->target && !anew) continue;
        float now = r->left ? (float)(r->gain - r->step * r->left) : r->target;
        if (to == now) *r = steady(to);
        else if (anew && bus->frames) *r = fade_in_db(now, to, bus);
        else *r = fade(now, to, cell->fade_frames);
    }
    for (uint32_t b = 0; b < MAX_BUSES; b++) k->seen[b] = targets->bus[b].number;
}

/* One steady cell at unity: the output is bit-exact, NaNs and all. */
static int is_copy(const struct owned *w, uint32_t first, uint32_t end)
{
    return end - first == 1 && w->steady_gain[first] == 1;
}

/* Lists the steady cells of each output; the ramping ones stay where they are in the plan. */
RARE static void list_steady(struct kernel *k, struct owned *w)
{
    const struct plan *p = &w->plan;
    uint32_t c = 0, s = 0;
    k->moving = 0;
    for (uint32_t i = 0; i < p->inputs; i++) w->copied_to[i] = NONE;
    for (uint32_t o = 0; o < p->outputs; o++) {
        uint32_t first = s;
        for (; c < p->cells && p->cell[c].out == o; c++) {
            const struct ramp *r = &k->ramp[p->cell[c].slot];
            if (r->left) k->moving = 1;
            else if (r->target != 0) {
                w->steady_gain[s] = r->target;
                w->steady_in[s++] = p->cell[c].in;
            }
        }
        w->steady_end[o] = s;
        if (is_copy(w, first, s) && w->copied_to[w->steady_in[first]] == NONE) w->copied_to[w->steady_in[first]] = o;
    }
}

/* Adds the ramping cells of an output; 1: there is one. `c` goes on to the next output's. */
RARE static int add_ramps(struct kernel *k, struct owned *w, uint32_t o, uint32_t *c, uint32_t n)
{
    const struct plan *p = &w->plan;
    int ramped = 0;
    for (; *c < p->cells && p->cell[*c].out == o; ++*c) {
        struct ramp *r = &k->ramp[p->cell[*c].slot];
        if (!r->left) continue;
        sound_add_ramped(w->out[o], w->in[p->cell[*c].in], r, n);
        ramped = 1;
    }
    return ramped;
}

static struct level run_output(struct kernel *k, struct owned *w, uint32_t o, uint32_t first, uint32_t *c, uint32_t n)
{
    float *out = w->out[o];
    const uint32_t *which = w->steady_in + first;
    const float *gain = w->steady_gain + first;
    uint32_t cells = w->steady_end[o] - first;
    int ramped = 0;

    if (cells == 0) memset(out, 0, n * sizeof *out);
    else if (!is_copy(w, first, first + cells)) sound_mix(out, (const float *const *)w->in, which, gain, cells, n);
    else if (w->copied_to[*which] != o) memcpy(out, w->in[*which], n * sizeof *out);
    if (k->moving) ramped = add_ramps(k, w, o, c, n);
    if (ramped || cells > 1) return sound_measure(out, n);
    if (cells == 0) return (struct level){0, 0};
    struct level l = w->in_level[*which];             /* measured already */
    return (struct level){l.peak * __builtin_fabsf(*gain), l.sumsq * *gain * *gain};
}

/* Measures all inputs, and copies those that pass at unity on the way: no input is a buffer of one of our outputs, libjack
 * copies where we feed ourselves. Of a long period the next channel's end is not asked for, which would push out this one. */
static void run_inputs(struct kernel *k, struct owned *w, uint32_t n)
{
    const float *const *in = w->in;
    float *const *out = w->out;
    const uint32_t *to = w->copied_to;
    struct level *now = w->in_level, *window = w->level;
    uint32_t ahead = n < MOST_AHEAD ? n : MOST_AHEAD;
    for (uint32_t i = 0, last = w->plan.inputs - 1; i <= last; i++) {
        if (k->awaits && i < last) sound_await(in[i + 1], to[i + 1] == NONE ? NULL : out[to[i + 1]], ahead);
        now[i] = to[i] == NONE ? sound_measure(in[i], n) : sound_copy(out[to[i]], in[i], n);
        add_level(&window[i], now[i]);
    }
}

static void run(struct kernel *k, struct owned *w, uint32_t n)
{
    if (k->changed || k->moving) list_steady(k, w);
    k->changed = 0;
    if (w->plan.inputs) run_inputs(k, w, n);
    struct level *window = w->level + w->plan.inputs;
    uint32_t c = 0, first = 0;
    for (uint32_t o = 0, outputs = w->plan.outputs; o < outputs; o++) {
        add_level(&window[o], run_output(k, w, o, first, &c, n));
        first = w->steady_end[o];
    }
}

static void advance(struct owned *w, uint32_t n)
{
    for (uint32_t i = 0; i < w->plan.inputs; i++) w->in[i] += n;
    for (uint32_t o = 0; o < w->plan.outputs; o++) w->out[o] += n;
}

/* Gives the levels of the last 10 ms or more to the daemon and begins anew. */
APART static void close_window(struct kernel *k, struct owned *w)
{
    const struct plan *p = &w->plan;
    struct shared *s = k->base.shared;
    uint64_t number = atomic_load_explicit(&s->windows, memory_order_relaxed);
    uint32_t ports = p->inputs + p->outputs;
    memcpy(s->level[number % METER_WINDOWS], w->level, ports * sizeof *w->level);
    s->window[number % METER_WINDOWS] = (struct window){k->window_frames, p->serial};
    atomic_store_explicit(&s->windows, number + 1, memory_order_release);   /* after what it announces */
    memset(w->level, 0, ports * sizeof *w->level);
    k->window_frames = 0;
}

APART static void pass_midi(struct kernel *k, const struct plan *p, uint32_t n)
{
    const struct bus *bus = k->base.shared->targets[k->reading].bus;
    for (uint32_t m = 0; m < p->midis; m++) {
        const struct midi *midi = &p->midi[m];
        void *out = k->base.jack.get_buffer(midi->out, n);
        uint32_t lost = midi_pass(&k->base.jack, k->midi_in[m], out, &k->sounding[midi->slot], bus[midi->bus].open);
        if (lost) add(&k->base.shared->midi_lost, lost);
    }
}

static int is_dropped(const struct kernel *k, const struct midi *pair, const struct plan *now)
{
    return k->midi_plan[pair->slot] != now || k->midi_owner[pair->slot] != pair->owner;
}

/* Ends what sounds at the pairs that the new plan does not have. */
RARE static int end_dropped_midi(struct kernel *k, const struct plan *before, const struct plan *now, uint32_t n)
{
    int ended = 0;
    for (uint32_t m = 0; m < now->midis; m++) {
        k->midi_plan[now->midi[m].slot] = now;
        k->midi_owner[now->midi[m].slot] = now->midi[m].owner;
    }
    for (uint32_t m = 0; m < before->midis; m++) {
        if (!is_dropped(k, &before->midi[m], now)) continue;
        uint32_t slot = before->midi[m].slot;
        ended |= midi_end(&k->base.jack, k->base.jack.get_buffer(before->midi[m].out, n), &k->sounding[slot]);
        k->sounding[slot] = (struct sounding){0};     /* whoever has the slot next begins in silence */
    }
    return ended;
}

/* What was ended once is not to be heard again while the ports are still there. */
RARE static void clear_dropped_midi(struct kernel *k, const struct plan *now, uint32_t n)
{
    const struct plan *before = &k->leaving->plan;
    for (uint32_t m = 0; m < before->midis; m++)
        if (is_dropped(k, &before->midi[m], now)) k->base.jack.midi_clear(k->base.jack.get_buffer(before->midi[m].out, n));
}

/* Takes leave of the plan before this one; 1: nothing of it is needed any more, and its ports may go. Where something was
 * ended they stay for two cycles: whoever feeds us, too, hears us a cycle later. */
static int leave_plan(struct kernel *k, struct owned *before, const struct plan *now, uint32_t n)
{
    if (before && end_dropped_midi(k, &before->plan, now, n)) {
        k->leaving = before;
        k->leaving_cycles = 2;
    } else if (k->leaving) {
        clear_dropped_midi(k, now, n);
        if (--k->leaving_cycles == 0) k->leaving = NULL;
    }
    return !k->leaving;
}

/* Whether a window is long enough. One that freewheels runs through 64 of them before anybody could read them: there the clock
 * counts, too. */
static int is_full(struct kernel *k)
{
    const struct shared *s = k->base.shared;
    if (k->window_frames * 100 < atomic_load_explicit(&s->sample_rate, memory_order_relaxed)) return 0;
    if (!atomic_load_explicit(&s->freewheeling, memory_order_relaxed)) return 1;
    uint64_t now = nanoseconds(CLOCK_MONOTONIC);
    if (now - k->window_closed_ns < 10 * 1000 * 1000) return 0;
    k->window_closed_ns = now;
    return 1;
}

/* One cycle of a plan; `before`: the one that ran until now, or NULL where that is it. 1: no older one is needed any more. */
static int process(struct kernel *k, struct owned *w, struct owned *before, uint32_t n)
{
    const struct plan *p = &w->plan;
    /* libjack mixes or clears in get_buffer(): once a cycle, and every input before the first output. */
    for (uint32_t i = 0; i < p->inputs; i++) w->in[i] = k->base.jack.get_buffer(p->in_port[i], n);
    for (uint32_t m = 0; m < p->midis; m++) k->midi_in[m] = k->base.jack.get_buffer(p->midi[m].in, n);
    for (uint32_t o = 0; o < p->outputs; o++) w->out[o] = k->base.jack.get_buffer(p->out_port[o], n);
    uint32_t step = p->cells > 4 * p->outputs ? DENSE : n;
    for (uint32_t f = 0; f < n; f += step) {
        if (f) advance(w, step);
        run(k, w, n - f < step ? n - f : step);
    }
    int left = leave_plan(k, before, p, n);           /* first: a pair that is new begins in silence */
    if (p->midis) pass_midi(k, p, n);
    k->window_frames += n;
    if (is_full(k)) close_window(k, w);
    return left;
}

/* Each octave in 8 equal parts; below 8 ns each nanosecond for itself. */
uint32_t cost_bucket(uint64_t ns)
{
    if (ns < 8) return (uint32_t)ns;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(ns);
    uint32_t bucket = (octave - 2) * 8 + (uint32_t)(ns >> (octave - 3) & 7);
    return bucket < COST_BUCKETS ? bucket : COST_BUCKETS - 1;
}

/* The daemon asks the system how this thread is scheduled: libjack only tells what the server wanted for it. */
static void name_thread(struct shared *s)
{
    if (atomic_load_explicit(&s->thread, memory_order_relaxed)) return;
    /* Not gettid(): that is of glibc 2.30, and would be the one symbol that older systems lack. */
    atomic_store_explicit(&s->thread, (uint32_t)syscall(SYS_gettid), memory_order_relaxed);
}

/* Goes over to a new plan, or to new targets. */
RARE static void turn_to(struct kernel *k, struct owned *owned, int new_targets)
{
    struct shared *s = k->base.shared;
    struct owned *before = k->current;
    const struct plan *p = owned ? &owned->plan : NULL;
    if (new_targets) k->reading = atomic_exchange_explicit(&s->ready, k->reading, memory_order_acq_rel) & 3;
    if (owned != before) {
        start_cells(k, p);
        if (before && k->window_frames) close_window(k, before);   /* shorter than others, but no peak is lost */
        k->window_frames = 0;
        k->changed = 1;
        k->current = owned;
    }
    if (p && (new_targets || k->changed)) {
        turn_to_targets(k, p);
        k->changed = 1;
    }
}

static inline __attribute__((always_inline)) void ask_for(const void *p, uint32_t bytes)
{
    #pragma GCC unroll 32
    for (uint32_t b = 0; b < bytes; b += 64) __builtin_prefetch((const char *)p + b);
}

/* Asks for what the cycle needs, all at once: else it would wait for one after the other, first of all for its own code. When
 * the CPU has slept or done other things since the last cycle, that halves what a cycle of few channels costs. */
static void ask_ahead(const struct kernel *k)
{
    const struct shared *s = k->base.shared;
    ask_for(&s->overflow, 128);
    ask_for(&s->ready, 64);
    const struct owned *w = atomic_load_explicit(&k->wanted, memory_order_relaxed);
    if (w) ask_for(w, 768);
    ask_for((const void *)kernel_on_process, 2048);
    ask_for((const void *)sound_copy, 320);
}

int kernel_on_process(uint32_t n, void *arg)
{
    struct kernel *k = arg;
    struct shared *s = k->base.shared;
    uint64_t start = nanoseconds(CLOCK_MONOTONIC);
    ask_ahead(k);
    sound_no_denormals();
    name_thread(s);
    /* The plan first: the daemon publishes the targets of new cells before it hands over the plan that has them. */
    struct owned *owned = atomic_load_explicit(&k->wanted, memory_order_acquire), *before = k->current;
    int new_targets = (atomic_load_explicit(&s->ready, memory_order_relaxed) & NEW) != 0;
    if (owned != before || new_targets) turn_to(k, owned, new_targets);
    /* From then on no older plan is looked at. */
    if (!owned || process(k, owned, owned != before ? before : NULL, n))
        atomic_store_explicit(&k->running, owned, memory_order_release);
    uint64_t busy = nanoseconds(CLOCK_MONOTONIC) - start;
    add(&s->cycles, 1);
    add(&s->frames, n);
    if (atomic_load_explicit(&s->freewheeling, memory_order_relaxed)) return 0;   /* no device waits for it: no cost to count */
    add(&s->busy_ns, busy);
    add(&s->cost[cost_bucket(busy)], 1);
    if (busy > atomic_load_explicit(&s->max_ns, memory_order_relaxed)) atomic_store_explicit(&s->max_ns, busy, memory_order_relaxed);
    return 0;
}

/* ---- hand-over of gains and plans ------------------------------------------------------------------------------ */

/* A triple buffer: one is written here, one is read by the realtime thread, and `ready` is the third. The exchange
 * releases what was written and acquires what the realtime thread has left: nobody waits, nothing tears. */
void publish_targets(struct shared *s, const float *gains, uint32_t slots, const struct bus *buses)
{
    struct targets *to = &s->targets[s->writing];
    memcpy(to->gain, gains, (slots < MAX_CELLS ? slots : MAX_CELLS) * sizeof *gains);
    memcpy(to->bus, buses, sizeof to->bus);
    s->writing = atomic_exchange_explicit(&s->ready, s->writing | NEW, memory_order_acq_rel) & 3;
}

/* What the daemon does with the ring: Python's own loads and stores have no order on every CPU. */
uint64_t ring_head(struct shared *s) { return atomic_load_explicit(&s->head, memory_order_acquire); }

void ring_release(struct shared *s, uint64_t tail) { atomic_store_explicit(&s->tail, tail, memory_order_release); }

static void *take(char **from, size_t bytes)
{
    void *p = *from;
    *from += (bytes + 7) / 8 * 8;
    return p;
}

static const void *copied(char **to, const void *content, size_t bytes)
{
    return bytes ? memcpy(take(to, bytes), content, bytes) : NULL;
}

/* Whether no number in it leads out of an array. */
static int is_within_limits(const struct plan *p)
{
    if (p->inputs > MAX_PORTS || p->outputs > MAX_PORTS || p->midis > MAX_PORTS || p->cells > MAX_CELLS) return 0;
    for (uint32_t c = 0; c < p->cells; c++) {
        const struct cell *cell = &p->cell[c];
        if (cell->in >= p->inputs || cell->out >= p->outputs || (c && cell->out < cell[-1].out)) return 0;
        if (cell->slot >= MAX_CELLS || cell->bus >= MAX_BUSES || !cell->fade_frames) return 0;
    }
    for (uint32_t m = 0; m < p->midis; m++)
        if (p->midi[m].slot >= MAX_PORTS || p->midi[m].bus >= MAX_BUSES) return 0;
    return 1;
}

int kernel_set_plan(struct kernel *k, const struct plan *from)
{
    if (!is_within_limits(from)) return -1;
    size_t in = from->inputs, out = from->outputs, cells = from->cells, midis = from->midis;
    size_t bytes = sizeof(struct owned) + cells * sizeof(struct cell) + midis * sizeof(struct midi)
                   + in * (2 * sizeof(void *) + sizeof(uint32_t) + 2 * sizeof(struct level))
                   + out * (2 * sizeof(void *) + sizeof(uint32_t) + sizeof(struct level))
                   + cells * (sizeof(uint32_t) + sizeof(float)) + 8 * 16;
    char *to = pages(k->base.shared, bytes);
    if (!to) return -1;
    struct owned *w = take(&to, sizeof *w);
    *w = (struct owned){.bytes = bytes, .plan = *from};
    w->plan.in_port = copied(&to, from->in_port, in * sizeof(void *));
    w->plan.out_port = copied(&to, from->out_port, out * sizeof(void *));
    w->in = take(&to, in * sizeof *w->in);
    w->out = take(&to, out * sizeof *w->out);
    w->copied_to = take(&to, in * sizeof *w->copied_to);
    w->steady_end = take(&to, out * sizeof *w->steady_end);
    w->in_level = take(&to, in * sizeof *w->in_level);
    w->level = take(&to, (in + out) * sizeof *w->level);
    w->steady_in = take(&to, cells * sizeof *w->steady_in);
    w->steady_gain = take(&to, cells * sizeof *w->steady_gain);
    w->plan.cell = copied(&to, from->cell, cells * sizeof(struct cell));
    w->plan.midi = copied(&to, from->midi, midis * sizeof(struct midi));
    kernel_settled(k);
    struct owned *old = atomic_exchange(&k->wanted, w);
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
