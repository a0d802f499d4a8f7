/* sessions.h: sessions that send heartbeats (MIG v0.1 5.7): (tenant, session id) -> last seen. One that
 * misses too many is forgotten, and its owner may end its streams. Any thread; bounded. */
#ifndef CORE_SESSIONS_H
#define CORE_SESSIONS_H
#include "base/str.h"

struct sessions;

enum { SESSIONS_MAX = 100000 };

struct sessions *sessions_new(void);
void sessions_free(struct sessions *all);

/* A heartbeat. The session is expected to send one each interval_ms; now_ms: any clock that does not
 * jump, the same in all calls. false: there are too many sessions, this one is not watched. */
bool sessions_beat(struct sessions *all, str tenant, str id, uint64_t interval_ms, uint64_t now_ms);
size_t sessions_count(const struct sessions *all);

/* Forgets those that are more than `missed` intervals late, and tells of each; no lock is held then.
 * One thread at a time. */
void sessions_sweep(struct sessions *all, uint64_t missed, uint64_t now_ms,
                    void (*missing)(void *arg, str tenant, str id), void *arg);
#endif
