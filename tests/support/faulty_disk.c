/*
 * A disk with faults, for one program (LD_PRELOAD). $DISK_FAULT is "CALL NUMBER WHAT FOLDER": the how manieth call of open,
 * write, fsync, rename or unlink that is about a file below the folder (0: every one of them), and what becomes of it: an
 * errno, "kill" for a SIGKILL before it is done, "half" for one when half of the bytes are written, or "hang": it never returns.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char which[16], what[16], folder[PATH_MAX];
static int number;
static atomic_int count;

__attribute__((constructor)) static void read_fault(void)
{
    const char *fault = getenv("DISK_FAULT");
    if (!fault || sscanf(fault, "%15s %d %15s %4095s", which, &number, what, folder) != 4)
        which[0] = 0;
}

/* Whether it is this call that meets the fault. */
static int is_met(const char *call, const char *path)
{
    if (strcmp(call, which) || strncmp(path, folder, strlen(folder)))
        return 0;
    return atomic_fetch_add(&count, 1) + 1 == number || !number;
}

/* Whether this call fails; errno says why. It may not return. */
static int fails(const char *call, const char *path)
{
    if (!is_met(call, path))
        return 0;
    if (!strcmp(what, "kill"))
        kill(getpid(), SIGKILL);
    if (!strcmp(what, "hang"))
        sleep(UINT_MAX);
    errno = atoi(what);
    return 1;
}

static const char *path_of(int descriptor, char *path)
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static void *real(const char *call)
{
    return dlsym(RTLD_NEXT, call);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    int (*open)(const char *, int, ...) = real(__func__);
    return fails("open", path) ? -1 : open(path, flags, mode);
}

ssize_t write(int descriptor, const void *bytes, size_t size)
{
    char path[PATH_MAX];
    ssize_t (*write)(int, const void *, size_t) = real(__func__);
    if (!strcmp(what, "half") && is_met("write", path_of(descriptor, path))) {
        write(descriptor, bytes, size / 2);
        kill(getpid(), SIGKILL);
    }
    if (strcmp(what, "half") && which[0] && fails("write", path_of(descriptor, path)))
        return -1;
    return write(descriptor, bytes, size);
}

int fsync(int descriptor)
{
    char path[PATH_MAX];
    int (*fsync)(int) = real(__func__);
    return which[0] && fails("fsync", path_of(descriptor, path)) ? -1 : fsync(descriptor);
}

int rename(const char *from, const char *to)
{
    int (*rename)(const char *, const char *) = real(__func__);
    return fails("rename", from) ? -1 : rename(from, to);
}

int unlink(const char *path)
{
    int (*unlink)(const char *) = real(__func__);
    return fails("unlink", path) ? -1 : unlink(path);
}
