/* ws_handshake.h: the opening handshake of a WebSocket, server side (RFC 6455 section 4.2, extension
 * parameters RFC 7692 7.1). Pure; any thread. */
#ifndef NET_WS_HANDSHAKE_H
#define NET_WS_HANDSHAKE_H
#include "base/arena.h"
#include "mig/ext/http.h"

struct ws_agreement {
    unsigned status;    /* 101: agreed. 400, 426: refused; 503: memory is out                     */
    const char *reason; /* refused: a constant word for logs and metrics; agreed: NULL            */
    /* refused: headers that the answer must have, beside the Upgrade that http1 gives to every 426 */
    const mig_header *headers;
    uint32_t header_count;

    str head;            /* agreed: the whole answer, to be sent as it is                         */
    str protocol;        /* of ours; empty: the client asked for none that we know                */
    uint8_t window_bits; /* for ws_config: 9 to 15; 0: no permessage-deflate                      */
};

/* What was asked for, by the headers (names in lower case) of a GET of HTTP/1.1 without a body; method,
 * version, Origin and credentials are the caller's to check. protocols: what we speak, the client's
 * order decides. head is in the arena. True: status is 101. */
bool ws_accept(const mig_header *headers, uint32_t count, const str *protocols,
               uint32_t protocol_count, bool allow_deflate, struct arena *a,
               struct ws_agreement *ret);
#endif
