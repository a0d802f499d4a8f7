/* client.h: who is behind the proxies. A header that tells of a client is believed only as far as proxies
 * that the operator trusts have written it: the right-most address that is not one of theirs is the
 * client's (RFC 7239 7.4, 8.1). Pure but for the arena. */
#ifndef EDGE_CLIENT_H
#define EDGE_CLIENT_H
#include "base/arena.h"
#include "base/cidr.h"
#include "mig/ext/http.h"

/* Part of a generation. */
struct client_policy {
    const struct cidr *trusted;
    size_t trusted_count; /* 0: headers tell nothing */
    bool is_rfc7239; /* Forwarded; else X-Forwarded-For and X-Forwarded-Proto. Never both: what a
                             proxy does not write, it may pass on as the client wrote it. */
};

struct client {
    str address;       /* as mig_http_request.remote; of a client behind proxies without a port */
    bool is_forwarded; /* address is not the peer's      */
    bool is_tls;       /* between the client and the outermost trusted proxy */
};

/* peer, is_tls: of the connection. Texts live in the arena; without memory the peer is the client. */
void client_find(const struct client_policy *p, str peer, bool is_tls, const mig_header *headers,
                 uint32_t count, struct arena *a, struct client *ret);
/* Is this machine the client? */
bool client_is_local(str address);
#endif
