/*
 * libjack with faults. Where the folder $JACK_FAULTS has a file of a function's name, the next call of that function does
 * what the file says, and the file is used up: "crash", "hang", or "late", by a tenth of a second. Everything else is the
 * real library's, which is linked to this one under another name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fault(const char *function)
{
    char path[PATH_MAX], what[16] = "";
    const char *folder = getenv("JACK_FAULTS");
    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, function);
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    int words = fscanf(file, "%15s", what);
    fclose(file);
    unlink(path);
    if (words == 1 && !strcmp(what, "crash"))
        *(volatile int *)0 = 1; /* not raise(): the host has blocked all signals */
    if (words == 1 && !strcmp(what, "late")) {
        usleep(100000);
        return;
    }
    for (;;)
        pause();
}

static void *faultless(const char *function)
{
    return dlsym(dlopen("libjock.so.0", RTLD_NOW), function);
}

static void *real(const char *function)
{
    fault(function);
    return faultless(function);
}

void *jack_client_open(const char *name, int options, int *status, const char *server)
{
    void *(*open)(const char *, int, int *, ...) = real(__func__);
    return open(name, options, status, server);
}

int jack_activate(void *client)
{
    int (*activate)(void *) = real(__func__);
    return activate(client);
}

int jack_connect(void *client, const char *source, const char *destination)
{
    int (*connect)(void *, const char *, const char *) = real(__func__);
    return connect(client, source, destination);
}

int jack_disconnect(void *client, const char *source, const char *destination)
{
    int (*disconnect)(void *, const char *, const char *) = faultless(__func__);
    int code = disconnect(client, source, destination);
    fault(__func__); /* what it does is done by then */
    return code;
}

int jack_client_close(void *client)
{
    int (*close)(void *) = real(__func__);
    return close(client);
}

typedef void connected_callback(uint32_t source, uint32_t destination, int connected, void *arg);

static struct {
    connected_callback *callback;
    void *arg;
} told;

static void port_connect_callback(uint32_t source, uint32_t destination, int connected, void *arg)
{
    (void)arg;
    fault(__func__);
    told.callback(source, destination, connected, told.arg);
}

int jack_set_port_connect_callback(void *client, connected_callback *callback, void *arg)
{
    int (*set)(void *, connected_callback *, void *) = real(__func__);
    told.callback = callback;
    told.arg = arg;
    return set(client, port_connect_callback, NULL);
}
