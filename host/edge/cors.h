/* cors.h: which names this gateway answers to, and which pages of other origins may read what it says
 * (Fetch standard, 3.2). Credentials of the browser (cookies) are never asked for, so that "*" may stand
 * for every origin. Pure functions over a part of the generation. */
#ifndef EDGE_CORS_H
#define EDGE_CORS_H
#include "net/exchange.h"

struct cors_policy {
    const str *origins; /* "https://app.example.org" */
    size_t origin_count;
    bool is_any;      /* "*" is one of them          */
    const str *hosts; /* "example.org", "*.example.org"; none: every name will do */
    size_t host_count;
};

/* May a page of this origin read our answers? */
bool cors_allows(const struct cors_policy *p, str origin);
/* May the page behind this handshake have a WebSocket? No Origin header, the host that was asked, or an
 * allowed origin (MIG v0.1 11.4). */
bool cors_allows_socket(const struct cors_policy *p, const struct exchange *x);
/* Is it a question whether a request would be allowed (Fetch 3.2.2)? */
bool cors_is_preflight(const struct exchange *x);

enum { CORS_PREFLIGHT_HEADERS = 3 };
/* What the answer to a preflight of an allowed origin says beyond Allow-Origin: methods as in Allow, the
 * headers that were asked for, how long this holds. The count. */
uint32_t cors_preflight(const struct exchange *x, str methods,
                        mig_header ret[CORS_PREFLIGHT_HEADERS]);

/* Is authority (Host or :authority, with or without a port) one of ours (RFC 9110 7.4)? */
bool cors_is_our_host(const struct cors_policy *p, str authority);
#endif
