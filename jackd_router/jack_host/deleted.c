/* What libjack deletes is kept for a while. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

/* jack_port_unregister() takes a node out of a list of JACK2's over which the notification thread may just be walking, for the
 * latencies of a graph that has changed; there is no lock (jack2 issue 216). malloc then writes its own over the node's pointer
 * to the next one, and the walk ends in a crash: once in some 20,000 ports, on a busy machine. While a deleted node is kept, the
 * walk goes on over it, and the port that it names is still there.
 *
 * This is C++'s operator delete for whatever is loaded after keep_deleted() of kernel.py, and for nobody in the daemon. */
void keep_deleted(void *) __asm__("_ZdlPv");

void keep_deleted(void *p)
{
    static _Atomic(void *) kept[4096];
    static _Atomic uint32_t deletions;
    uint32_t number = atomic_fetch_add_explicit(&deletions, 1, memory_order_relaxed);
    free(atomic_exchange(&kept[number % 4096], p));
}
