/* See notifications.h; each callback is declared in kernel.h. None of them makes a request to the server. */
#define _GNU_SOURCE
#include "notifications.h"

#include <string.h>
#include <unistd.h>

static void wake(const struct base *o)
{
    uint64_t one = 1;
    (void)!write(o->eventfd, &one, sizeof one);
}

/* strncpy on purpose: it fills the rest with zeros. What an earlier use of the slot left there once corrupted names. */
static void copy_text(char *to, const char *from, size_t size)
{
    strncpy(to, from ? from : "", size - 1);
    to[size - 1] = 0;
}

static void write_record(struct shared *s, struct record r, const char *type, const char *name)
{
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

/* One thread tells everything, but for the end of the server: JACK2 tells that on each thread that notices it, also on the one
 * that was the realtime thread until then. */
static void append(struct base *o, struct record r, const char *type, const char *name)
{
    while (atomic_exchange_explicit(&o->appending, 1, memory_order_acquire)) {}
    write_record(o->shared, r, type, name);
    atomic_store_explicit(&o->appending, 0, memory_order_release);
}

void kernel_on_port_registration(uint32_t id, int registered, void *arg)
{
    struct base *o = arg;
    /* Read now, from shared memory: when the port is gone its slot in the server's table is wiped or used again. */
    void *port = registered ? o->jack.port_by_id(o->client, id) : NULL;
    struct record r = {.event = EVENT_PORT, .a = id, .on = registered};
    if (port) {
        r.flags = (uint64_t)o->jack.port_flags(port);
        append(o, r, o->jack.port_type(port), o->jack.port_name(port));
        /* PipeWire's writes the second one only, and says that it is one, where a port has no first. */
        o->alias[0][0] = o->alias[1][0] = 0;
        o->jack.port_aliases(port, (char *const[]){o->alias[0], o->alias[1]});
        for (int i = 0; i < 2; i++)
            if (o->alias[i][0]) append(o, (struct record){.event = EVENT_ALIAS, .a = id}, "", o->alias[i]);
    } else if (!registered) {
        append(o, r, "", "");
    }                                                 /* else: gone again already, and its end will be told */
    wake(o);
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
    struct base *o = arg;
    atomic_store_explicit(&o->shared->last_property_usec, nanoseconds(CLOCK_MONOTONIC) / 1000, memory_order_relaxed);
    int of_everybody = !subject, of_a_port = subject >> 32 == 1;      /* 2: of a client */
    if (!is_read(key) || !(of_everybody || of_a_port)) return;
    append(o, (struct record){.event = EVENT_PROPERTY, .a = of_a_port ? (uint32_t)subject - 1 : 0, .on = of_a_port}, "", "");
    wake(o);
}

void kernel_on_shutdown(void *arg) { kernel_on_info_shutdown(0, "the server shut down", arg); }

/* Not in the ring, which has one writer: libjack calls these on other threads as well. */
int kernel_on_buffer_size(uint32_t frames, void *arg)
{
    struct base *o = arg;
    if (atomic_exchange(&o->shared->buffer_size, frames) != frames) wake(o);
    return 0;
}

int kernel_on_sample_rate(uint32_t hz, void *arg)
{
    struct base *o = arg;
    if (atomic_exchange(&o->shared->sample_rate, hz) != hz) wake(o);
    return 0;
}

void kernel_on_freewheel(int starting, void *arg)
{
    struct base *o = arg;
    atomic_store(&o->shared->freewheeling, starting != 0);
    wake(o);
}

/* No wake-up: a server in trouble has enough to do, and the daemon looks once a second. */
int kernel_on_xrun(void *arg)
{
    struct base *o = arg;
    add(&o->shared->xruns, 1);
    atomic_store_explicit(&o->shared->last_xrun_usec, nanoseconds(CLOCK_REALTIME) / 1000, memory_order_relaxed);
    return 0;
}

/* Kept natively: libjack has messages on the thread that close() cancels, and Python there would keep its lock for ever.
 * Two at once may mix their letters; the text is for people. */
static char last_message[512];

void kernel_on_error_message(const char *message)
{
    /* JACK2 says so after each open that failed, and whoever reads it is no wiser than from the message before. */
    if (message && strstr(message, "~JackShmReadWritePtr")) return;
    copy_text(last_message, message, sizeof last_message);
}

void kernel_on_info_message(const char *message) { (void)message; }

const char *kernel_last_message(void) { return last_message; }
