/* wait.h: waiting with an end in monotonic time (clock.h), whatever the clock of the condition is. */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Under the lock. until_ns: UINT64_MAX is for ever. false: the time is over. May return early, as every
 * wait may. */
static inline bool wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t until_ns)
{
    const struct timespec t = {(time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u)};

    if (until_ns == UINT64_MAX)
        return pthread_cond_wait(c, lock) == 0;
    return pthread_cond_clockwait(c, lock, CLOCK_MONOTONIC, &t) == 0;
}
#endif
