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

/* A WebSocket instead of an answer (RFC 6455). From then on send() sends a text message, whose bytes
 * must be UTF-8, and finish() or finish_error() closes the socket (1000; 1001 for MIG_UNAVAILABLE,
 * 1011 for MIG_INTERNAL, 1008 otherwise). The host answers pings, sends its own, and cancels the call
 * when the client is gone. It lasts: neither deadline nor reload ends it, unless the reload replaces
 * the instance. */
typedef struct mig_websocket {
    uint32_t struct_size, flags;
    const char *const *protocols; /* NULL-terminated: subprotocols served; NULL: none  */
    uint32_t max_message;         /* bytes; 0: 4 MiB                                   */
    uint32_t ping_ms;             /* 0: 30 000. Two pings without an answer end it     */
    void *tag;
    /* [loop] A whole message, text or binary. */
    void (*on_message)(void *self, void *tag, mig_call ex, mig_str message);
    /* [loop] send() has room again after MIG_E_AGAIN. NULL: not told. */
    void (*on_writable)(void *self, void *tag, mig_call ex);
    /* [loop] The client is gone: end the call. */
    void (*on_cancel)(void *self, void *tag, mig_call ex);
} mig_websocket;

typedef struct mig_header {
    mig_str name, value;
} mig_header; /* names of a request are in lower case; in answers any case will do */

/* On a route for operators: the caller may see what belongs to tenant_id, and nothing else. */
enum mig_request_flag { MIG_REQUEST_RESTRICTED = 1 };

typedef struct mig_http_request {
    uint32_t struct_size;
    uint32_t header_count;
    const mig_header *headers;
    mig_str method, path, query, authority, subject, tenant_id;
    const mig_str *params;    /* decoded values of {name} in the pattern, in its order   */
    mig_str body;             /* whole body                                              */
    mig_str remote;           /* peer address, "127.0.0.1:51234"                         */
    uint32_t flags, reserved; /* flags: MIG_REQUEST_*                              */
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
    /* [loop] From on_request of a GET route with MIG_EXEC_LOOP. MIG_OK: it is a WebSocket now.
     * MIG_INVALID_REQUEST, MIG_FORBIDDEN: it asked for none, or not as it must, or from a foreign
     * origin; a head with the reason is given, finish_error() completes it. */
    mig_status (*upgrade)(const mig_host *h, mig_call ex, const mig_websocket *ws);
    /* [any] The plugin needs the request of this exchange no more: once its callback has returned, rq and all
     * texts of it may be gone. For event streams that last, which then cost a fraction of the memory.
     * MIG_HAS() says whether the host has it. */
    mig_status (*release_request)(const mig_host *h, mig_call ex);
} mig_ext_http;

#ifdef __cplusplus
}
#endif
#endif
