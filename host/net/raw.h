/* raw.h: a connection that has left HTTP by exchange_switch(): bytes in, bytes out. Owner: the loop;
 * everything here is called on it.
 *
 *   exchange_switch -> bytes* / tick* / writable* -> closed       the client, the network or a stop
 *                                                \-> raw_close    the owner
 *
 * A raw is good until closed() returns or raw_close() is called; after either nothing is heard of it
 * any more. closed() and bytes() never come from within a function of this header. */
#ifndef NET_RAW_H
#define NET_RAW_H
#include "base/str.h"

#include <uv.h>

struct raw;

enum net_end {
    NET_END_PEER,    /* the client said good-bye (FIN; TLS: close_notify before it)        */
    NET_END_CUT,     /* TLS only: FIN without close_notify. What came may not be everything */
    NET_END_ERROR,   /* reset, or the client broke the rules of TLS                         */
    NET_END_TIMEOUT, /* it took no byte for http.write_timeout_ms                           */
    NET_END_STOP     /* the daemon ends now                                                 */
};

struct raw_ops {
    /* What came, the bytes right behind the request first. raw_close() is allowed in here. */
    void (*bytes)(void *owner, str data);
    /* There is room again after MIG_E_AGAIN. */
    void (*writable)(void *owner);
    /* raw_tick() has asked for it. */
    void (*tick)(void *owner);
    /* The daemon stops, or its listener closes: say good-bye and raw_close() soon. */
    void (*drain)(void *owner);
    /* The connection is gone; so is the raw when this returns. */
    void (*closed)(void *owner, enum net_end why);
};

/* All or nothing, in one write where possible; the bytes are copied or sent before the return.
 * MIG_OK; MIG_E_AGAIN: not taken, more than 64 KiB wait already, writable() follows; MIG_E_GONE:
 * closed() follows. */
mig_status raw_write(struct raw *r, const uv_buf_t *bufs, unsigned count);
/* linger: behind what was written, and the client may take two seconds to hang up; else at once. */
void raw_close(struct raw *r, bool linger);
/* tick() each every_ms from now on (0: never). The idle policy is the owner's: a tick that finds
 * raw_quiet_ms() too long pings or closes. */
void raw_tick(struct raw *r, uint32_t every_ms);
/* Milliseconds since the client's last byte. */
uint64_t raw_quiet_ms(const struct raw *r);
/* false: read no more until true. Backpressure for the client; a close is then seen late. */
void raw_read(struct raw *r, bool is_wanted);
/* Bytes that wait to be sent. */
size_t raw_queued(const struct raw *r);
struct loop *raw_loop(const struct raw *r);
#endif
