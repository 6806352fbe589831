/* What libjack tells on a thread of its own, as records in the memory that is shared with the daemon. */
#ifndef JACKD_ROUTER_NOTIFICATIONS_H
#define JACKD_ROUTER_NOTIFICATIONS_H

#include "kernel.h"

#include <time.h>

/* What the callbacks of both kinds have: the beginning of struct kernel. */
struct base {
    struct shared *shared;
    struct libjack jack;
    void *client;
    int eventfd;
    char (*alias)[640];    /* two, for port_aliases() to write into */
    _Atomic int appending; /* somebody writes a record */
};

static inline uint64_t nanoseconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One writer: a plain load and a plain store, which only must not tear. */
static inline void add(_Atomic uint64_t *to, uint64_t amount)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + amount, memory_order_relaxed);
}

#endif
