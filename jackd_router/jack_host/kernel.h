/* The native part of jackd_router: everything of ours that runs on libjack's own threads.
 *
 * Two kinds of callbacks, none of which waits for the server or for Python, allocates, or asks libjack for anything that talks
 * to the server:
 *   - process: ONE sparse matrix from our audio inputs to our audio outputs. A bus with gain, mute and a mix matrix
 *     is a handful of its cells; Python folds "gain x channel gain x mute x matrix" into one target per cell.
 *     MIDI passes from port to port, and what sounds is ended where it may not pass any more.
 *   - notifications: each appends one record to a ring in memory that the daemon has mapped, too, and wakes it.
 *
 * libjack's functions come in as pointers: this builds without libjack's headers, and is tested without a server
 * (a "port" is then a buffer, and get_buffer the identity). Python.h is not needed either.
 */
#ifndef JACKD_ROUTER_KERNEL_H
#define JACKD_ROUTER_KERNEL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_PORTS = 1024,        /* of our inputs, and as many outputs */
    MAX_CELLS = 65536,       /* 16 full matrices of 64 x 64 */
    MAX_BUSES = 64,
    METER_WINDOWS = 64,      /* of at least 10 ms each, of the clock where it freewheels: who reads twice a second misses none */
    RING_RECORDS = 16384,    /* a full graph of 4,096 ports comes or goes with room for its connections */
    COST_BUCKETS = 256,      /* 8 an octave: of any cost up to 17 s the middle of its bucket is at most 6.3 % away */
};

/* ---- shared with the daemon: one memfd, mapped by both processes ----------------------------------------- */

enum event { EVENT_PORT = 1, EVENT_CONNECTION, EVENT_CLIENT, EVENT_RENAME, EVENT_ALIAS, EVENT_SHUTDOWN, EVENT_PROPERTY };

/* One notification. Strings end with NUL and the rest of the field is zero: slots are used again and again. */
struct record {
    uint32_t event, a, b;    /* ids of ports: of one (a), or source and destination (a, b) */
    int32_t on;              /* 1 registered, connected, property of a port; 0 unregistered, disconnected, of everybody */
    uint64_t flags;          /* JackPortFlags, read when the port came: later they are wiped */
    uint64_t usec;           /* CLOCK_MONOTONIC */
    char type[32];
    char name[640];          /* of port or client; of a renamed port the new one; the reason of a shutdown */
};

struct level { float peak, sumsq; };                          /* of one port in one window; sumsq: sum of squares */
struct window { uint32_t frames, plan; };                     /* plan: serial of the plan that numbers the ports */

/* What all cells and MIDI pairs of a bus share. A new `number`: its cells turn to their targets at once, in `frames` frames
 * linear in dB, or, where that is 0, as they always do. Such a fade multiplies by `factor` each frame; it begins at `ratio`
 * times its end. `open`: the MIDI channels that pass, a bit each; 0: nothing does. */
struct bus { uint32_t number, frames, open, pad; double factor, ratio; };

struct targets { float gain[MAX_CELLS]; struct bus bus[MAX_BUSES]; };   /* linear gain of each slot */

struct shared {
    _Atomic uint64_t head; char pad0[56];                     /* records ever written, by the notification thread */
    _Atomic uint64_t tail; char pad1[56];                     /* records ever read, by the daemon */
    _Atomic uint32_t overflow;                                /* a record was dropped: read the graph anew */
    _Atomic uint32_t buffer_size, sample_rate, freewheeling;  /* frames; Hz; 0 or 1 */
    _Atomic uint64_t xruns, last_xrun_usec;                   /* microseconds since the epoch */
    _Atomic uint64_t last_property_usec;                      /* CLOCK_MONOTONIC: somebody writes metadata, whatever it is */
    _Atomic uint64_t frames, midi_lost; char pad2[8];         /* processed ever; events that an output had no room for */
    _Atomic uint64_t cycles;                                  /* of our process callback */
    _Atomic uint64_t busy_ns, max_ns;                         /* of those in real time; max: since the daemon last set it to 0 */
    _Atomic uint64_t windows;                                 /* meter windows ever completed */
    _Atomic uint32_t thread, unlocked; char pad3[24];         /* id of the realtime thread, 0 before its first cycle; 1: */
                                                              /* mlock() refused some of what that thread uses */
    _Atomic uint64_t cost[COST_BUCKETS];                      /* cycles in real time by their cost: see cost_bucket() */
    _Atomic uint32_t ready; uint32_t writing; char pad4[56];  /* which of `targets` is whose: see publish_targets() */
    struct targets targets[3];
    struct window window[METER_WINDOWS];
    struct level level[METER_WINDOWS][2 * MAX_PORTS];         /* inputs first, then outputs, as the plan counts them */
    struct record ring[RING_RECORDS];
};

/* ---- called by the daemon ---------------------------------------------------------------------------------- */

size_t shared_size(void);                                                      /* Python has the same layout? */
void shared_init(struct shared *);                                             /* once, before a host is started */
/* All change in one and the same cycle; buses: MAX_BUSES of them. */
void publish_targets(struct shared *, const float *gains, uint32_t slots, const struct bus *buses);
uint64_t ring_head(struct shared *);                                           /* records up to here can be read */
void ring_release(struct shared *, uint64_t tail);                             /* records up to here can be written again */
uint32_t cost_bucket(uint64_t ns);                                             /* where a cycle that took so long is counted */

/* ---- called by the JACK host's request thread -------------------------------------------------------------- */

enum start { AT_TARGET, FROM_SILENCE };   /* how a cell begins: with ports that are new; as new sound between others */

/* Of the matrix, sorted by `out`. `fade_frames`: of each change of its target, at least 1. `owner`: from 1, the same as long as
 * the slot belongs to this cell; with another one it begins as `start` says, whichever plans no cycle has seen. */
struct cell { uint32_t in, out, slot, bus, fade_frames, start, owner; };

/* Events pass from one port to another. `slot`: where it is kept what sounds, the same from plan to plan; `owner` as of a cell. */
struct midi { void *in, *out; uint32_t slot, bus, owner, pad; };

struct plan {
    uint32_t serial, inputs, outputs, cells, midis;
    void *const *in_port, *const *out_port;            /* of audio */
    const struct cell *cell;
    const struct midi *midi;
};

struct midi_event { uint32_t frame; size_t bytes; unsigned char *byte; };   /* as jack/midiport.h has it */

struct libjack {
    void *(*get_buffer)(void *port, uint32_t frames);
    void *(*port_by_id)(void *client, uint32_t id);
    const char *(*port_name)(void *port);
    int (*port_flags)(void *port);
    const char *(*port_type)(void *port);
    int (*port_aliases)(void *port, char *const aliases[2]);
    uint32_t (*midi_count)(void *buffer);
    int (*midi_get)(struct midi_event *, void *buffer, uint32_t index);
    void (*midi_clear)(void *buffer);
    unsigned char *(*midi_reserve)(void *buffer, uint32_t frame, size_t bytes);
};

struct kernel;
struct kernel *kernel_new(struct shared *, int eventfd, const struct libjack *);   /* NULL: out of memory */
void kernel_free(struct kernel *);                                                 /* after the client is closed */
void kernel_set_client(struct kernel *, void *client);
/* Copies the plan and hands it over; 0, or -1 where a number in it exceeds what there is, or memory. */
int kernel_set_plan(struct kernel *, const struct plan *);
int kernel_settled(struct kernel *);   /* 1: the last plan runs, and no older one is in use: its ports may go */

/* ---- called by libjack: `arg` is the kernel ----------------------------------------------------------------- */

int kernel_on_process(uint32_t frames, void *arg);
void kernel_on_port_registration(uint32_t id, int registered, void *arg);
void kernel_on_port_connect(uint32_t source, uint32_t destination, int connected, void *arg);
void kernel_on_client_registration(const char *name, int registered, void *arg);
int kernel_on_port_rename(uint32_t id, const char *before, const char *now, void *arg);
int kernel_on_buffer_size(uint32_t frames, void *arg);
int kernel_on_sample_rate(uint32_t hz, void *arg);
void kernel_on_freewheel(int starting, void *arg);
int kernel_on_xrun(void *arg);
void kernel_on_shutdown(void *arg);
void kernel_on_info_shutdown(int code, const char *reason, void *arg);
void kernel_on_property_change(uint64_t subject, const char *key, int change, void *arg);
void kernel_on_error_message(const char *message);   /* of the whole library, on whichever thread has one */
void kernel_on_info_message(const char *message);
const char *kernel_last_message(void);               /* for the request thread, after a call that failed */

#endif
