/* What every program of the benchmarks needs: a client of the server that JACK_DEFAULT_SERVER names, and a clock. */
#ifndef BENCHMARKS_CLIENT_H
#define BENCHMARKS_CLIENT_H

#define _GNU_SOURCE                                   /* sem_clockwait */

#include <errno.h>
#include <jack/jack.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static inline void pause_us(long us)
{
    nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

static inline void stop(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static inline void say_nothing(const char *text) { (void)text; }

static inline jack_client_t *open_client(const char *name)
{
    jack_set_error_function(say_nothing);             /* asking for a port that is not there yet is no error here */
    jack_client_t *client = jack_client_open(name, JackNoStartServer | JackUseExactName, NULL);
    if (!client) stop("no client of the JACK server");
    return client;
}

static inline jack_port_t *register_port(jack_client_t *client, const char *prefix, int number, unsigned long flags)
{
    char name[64];
    snprintf(name, sizeof name, "%s%d", prefix, number);
    jack_port_t *port = jack_port_register(client, name, JACK_DEFAULT_AUDIO_TYPE, flags, 0);
    if (!port) stop("the JACK server has no port left");
    return port;
}

/* The first line on standard output: from here on the program does what it is for. */
static inline void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

/* Stay until standard input ends. */
static inline void stay(void)
{
    while (getchar() != EOF) {}
}

/* Wait for one post; 0 when it does not come within the time. */
static inline int wait_for(sem_t *posted, int seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    int failed;
    while ((failed = sem_clockwait(posted, CLOCK_MONOTONIC, &end)) && errno == EINTR) {}
    return !failed;
}

#endif
