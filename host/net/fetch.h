/* fetch.h: GET of a control-plane document: key sets, discovery. Blocks: for workers, never on a
 * loop. The data path has a client of its own.
 *
 * The face of libcurl, which is loaded when the first document is wanted: linking it would bring
 * thirty libraries and 3 ms into each start of the daemon. No cookies, no .netrc, no signals, no
 * other schemes than http and https; proxies as the environment says (https_proxy, no_proxy). The
 * process ignores SIGPIPE (main/ does): OpenSSL writes to sockets that may have been closed. */
#ifndef NET_FETCH_H
#define NET_FETCH_H
#include "base/buf.h"

#include <stdatomic.h>

struct fetch_limits {
    uint32_t connect_ms, total_ms; /* 0: 3000 and 10000 */
    const char *ca_file;           /* PEM; NULL: the system's authorities */
    const _Atomic bool *stop;      /* looked at every second or so: true gives up; may be NULL */
};

struct fetch_info {
    unsigned status; /* of the last answer; a redirect when there were more than 3 */
    bool has_max_age;
    uint64_t max_age_s; /* Cache-Control less Age (RFC 9111 4.2); no-cache and no-store: 0 */
    const char *fault;  /* a machine word, static; NULL when it worked */
    char detail[256];   /* for the operator's log */
};

/* The body goes to `out` (initialised by the caller, whose limit is the size limit).
 *   true: there is an answer, whatever its status;
 *   false: ret->fault is one of
 *     url        not http or https, user:password in it, no host
 *     resolve, connect, tls, timeout, stopped
 *     redirect   to another scheme (also from http to https), or more than 3
 *     too_large  more than the limit
 *     library    libcurl is not installed
 *     transfer   all else, in detail
 * Any thread that may block. */
bool fetch_get(const char *url, const struct fetch_limits *limits, struct buf *out,
               struct fetch_info *ret);

/* Reads one field value of Cache-Control. false: it says nothing about our keeping. */
bool fetch_cache_control(str value, uint64_t *ret_max_age_s);
#endif
