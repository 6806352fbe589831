/* timer FILE PERIOD_US BUCKET_US: how late a timer is on this machine where nothing of ours stands in its way.
 *
 * FILE holds 64-bit counters; the one at lateness / BUCKET_US counts, the last one also everything beyond. A period that was
 * missed counts with its own lateness. It runs until it is killed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
    int file = argc == 4 ? open(argv[1], O_RDWR) : -1;
    struct stat about;
    if (file < 0 || fstat(file, &about)) return 1;
    uint64_t *count = mmap(NULL, about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (count == MAP_FAILED) return 1;
    long last = about.st_size / (long)sizeof *count - 1, period = atol(argv[2]), width = atol(argv[3]);
    puts("ready");
    fflush(stdout);
    for (long due = now_us() + period;; due += period) {
        struct timespec until = {due / 1000000, due % 1000000 * 1000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        long bucket = (now_us() - due) / width;
        count[bucket < last ? bucket : last]++;
    }
}
