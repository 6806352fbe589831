/*
 * libjack with faults. Where the folder $JACK_FAULTS has a file of a function's name, the next call of that function does
 * what the file says, crash or hang, and the file is used up. Everything else is the real library's, which is linked to this
 * one under another name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
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
    for (;;)
        pause();
}

static void *real(const char *function)
{
    fault(function);
    return dlsym(dlopen("libjock.so.0", RTLD_NOW), function);
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

int jack_client_close(void *client)
{
    int (*close)(void *) = real(__func__);
    return close(client);
}
