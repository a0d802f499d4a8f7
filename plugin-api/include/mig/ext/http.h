/* mig/ext/http.h: serve HTTP routes. Bindings, consoles and bridges use it.
 *
 * An exchange is a call: respond() gives status and headers, send() the body in pieces, finish() the
 * last piece (or an empty payload) and the end. A body that is complete when finish() is called
 * leaves with Content-Length, a longer one in chunks. After finish_error() the host writes the MIG
 * error envelope, under the head that respond() gave or, without one, the status of the code; when
 * a part of the body was sent already, it cuts the connection. */
#ifndef MIG_EXT_HTTP_H
#define MIG_EXT_HTTP_H
#include "mig/plugin.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MIG_EXT_HTTP_ROUTE "mig.http-route/1" /* registrar: mig_http_route */
#define MIG_EXT_HTTP "mig.http/1"             /* host: mig_ext_http        */

enum mig_route_flag {
    MIG_ROUTE_PUBLIC = 1, /* no credentials asked for (health, console files)            */
    MIG_ROUTE_ADMIN = 2   /* operators only: admin key, or loopback when none is set     */
};

typedef struct mig_header {
    mig_str name, value;
} mig_header; /* names of a request are in lower case; in answers any case will do */

typedef struct mig_http_request {
    uint32_t struct_size;
    uint32_t header_count;
    const mig_header *headers;
    mig_str method, path, query, authority, subject, tenant_id;
    const mig_str *params; /* decoded values of {name} in the pattern, in its order   */
    mig_str body;          /* whole body                                              */
    mig_str remote;        /* peer address, "127.0.0.1:51234"                         */
} mig_http_request;

/* Patterns: literal segments and {name}, which takes one whole segment. Literals win over names.
 * A GET route also answers HEAD. */
typedef struct mig_http_route {
    uint32_t struct_size, flags; /* flags: MIG_ROUTE_*                             */
    uint32_t exec, max_concurrency;
    uint64_t max_body;            /* 0: the listener's limit                        */
    const char *method, *pattern; /* "POST", "/mig/v0.1/invoke/{capability}"       */
    void *data;
    void (*on_request)(void *self, void *data, mig_call ex, const mig_http_request *rq);
    void (*on_writable)(void *self, void *data, mig_call ex); /* NULL: not told    */
    void (*on_cancel)(void *self, void *data, mig_call ex);   /* NULL: not told    */
} mig_http_route;

/* One record of an event stream (text/event-stream). name and id without line breaks. */
typedef struct mig_http_event {
    uint32_t struct_size, retry_ms; /* retry_ms 0: none                               */
    mig_str name, id, data;         /* empty: none; each line of data becomes a field */
} mig_http_event;

typedef struct mig_ext_http {
    uint32_t struct_size, flags;
    /* [any] Status and headers of the answer; the host copies. Connection, Content-Length,
     * Transfer-Encoding and Date are the host's own and are refused (MIG_E_ARG). */
    mig_status (*respond)(const mig_host *h, mig_call ex, uint32_t status,
                          const mig_header *headers, uint32_t header_count);
    /* [any] After respond() with Content-Type text/event-stream: a record, answered as send() is.
     * While nothing else is sent, the host sends a comment every 15 s. */
    mig_status (*event)(const mig_host *h, mig_call ex, const mig_http_event *e);
} mig_ext_http;

#ifdef __cplusplus
}
#endif
#endif
