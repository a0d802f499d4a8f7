/* manners.h: what every request and answer at the edge gets beside its meaning: content codings, CORS,
 * the client's address, request ids, timing, a line in the access log. With nothing of it asked for or
 * configured, a look at the headers is all it costs. Owner: the exchange's loop.
 *
 * An answer that might be coded has its head held until the body is known to be whole (then it is coded)
 * or begins to stream (then it is not). Answers that the protocol gives by itself pass by all this but
 * the log. */
#ifndef EDGE_MANNERS_H
#define EDGE_MANNERS_H
#include "core/principal.h"
#include "edge/client.h"
#include "edge/coding.h"
#include "edge/cors.h"

/* Part of a generation. */
struct manners_policy {
    struct cors_policy cors;
    struct client_policy client;
    uint32_t compress_min; /* bytes; 0: nothing is compressed */
    bool makes_request_ids, tells_timing, is_logged;
    bool has_wishes; /* of manners_policy_seal() */
};
/* To be called when the policy is filled, before it is used. */
void manners_policy_seal(struct manners_policy *p);

/* In the exchange's arena, zeroed before manners_begin(). It keeps nothing of the generation. */
struct manners {
    struct exchange *x;
    enum coding coding;    /* that the answer may get        */
    uint32_t compress_min; /* 0: the answer must stay as it is */
    bool is_plain;         /* nothing to do for the answer */
    bool has_wish, varies_origin, tells_timing, is_logged, is_tls, is_held;
    unsigned held_status;
    mig_header *held; /* with room for one more */
    uint32_t held_count;
    str allow_origin; /* empty: the page, if there is one, may not read it */
    str request_id;
    str body_coding; /* Content-Encoding of the request; empty: none */
    str remote;      /* of the client, when somebody wants to know; else empty */
    uint64_t began_ns, opened_ns, ended_ns, bytes;
    /* For the log, set by who knows it. */
    str route, message_id;
    const struct principal *who;
};

/* The headers are there. */
void manners_begin(struct manners *m, struct exchange *x, const struct manners_policy *p);
/* The client's address as text. */
str manners_remote(struct manners *m);

/* Replaces a coded body by what it stands for, and takes Content-Encoding and Content-Length away.
 * MIG_OK; MIG_INVALID_REQUEST with *ret_http and *ret_reason: 413 beyond max_body, 400 for an unknown
 * coding or a broken body; MIG_BACKPRESSURE without memory. */
mig_status manners_unpack(struct manners *m, unsigned *ret_http, const char **ret_reason);

/* The exchange has moved to x, with its client: so do `from`'s texts that are still wanted, into x's arena.
 * `from` is over. */
void manners_move(struct manners *to, struct manners *from, struct exchange *x,
                  const struct principal *who);
/* What that will ask of the arena. */
size_t manners_move_bytes(const struct manners *m);

/* As exchange_head(), exchange_write(), exchange_end(), and instead of them. */
mig_status manners_give_head(struct manners *m, unsigned status, const mig_header *headers,
                             uint32_t count);
void manners_give_end(struct manners *m, str bytes);
mig_status manners_write(struct manners *m, str bytes);
static inline mig_status manners_head(struct manners *m, unsigned status, const mig_header *headers,
                                      uint32_t count)
{
    return m->is_plain ? exchange_head(m->x, status, headers, count)
                       : manners_give_head(m, status, headers, count);
}
static inline void manners_end(struct manners *m, str bytes)
{
    if (m->is_plain)
        exchange_end(m->x, bytes);
    else
        manners_give_end(m, bytes);
}
/* Was manners_head() taken? */
static inline bool manners_has_head(const struct manners *m)
{
    return m->is_held || m->x->has_answer;
}

/* Own loop, when it has ended. */
void manners_loop_free(struct loop *l);
#endif
